import pytest

from inference.engine import presets


def test_a_wrong_name_is_answered_with_the_right_ones():
    with pytest.raises(ValueError, match="simple_cnn, two_stage, two_stage_carpal, two_stage_compact"):
        presets.preset("two_stages")


def test_the_published_preset_keeps_the_published_settings():
    published = presets.preset("two_stage")
    assert (published.attention.backbone.kind, published.attention.backbone.size) == ("inception_v3", 299)
    assert (published.attention.fit.epochs, published.attention.fit.learning_rate) == (60, 1e-3)
    assert {name: (spec.kind, spec.size) for name, spec in published.age.branches.items()} == {
        "carpal": ("resnet50", 224),
        "metacarpal": ("resnet50", 224),
    }
    assert published.age.loss == "mse"
    assert published.age.alone.epochs == 30
    assert published.attention.carpal.window is None
