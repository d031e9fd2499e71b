import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from inference.engine import BoneAgeModel, Prediction, Refusal, available_models, presets
from inference.engine.explanation import GRID
from inference.engine.external import read_description
from inference.engine.model import DEFAULT_MODEL
from inference.engine.presets import Ensemble
from inference.engine.runtimes import onnx_session
from inference.engine.weights import MissingWeights, fingerprint, read_card
from inference.training import export

TOML = """
name = "elsewhere"
version = "2.1"
file = "network.onnx"
interval90_months = 15.0

[image]
size = 64
channels = 3
order = "NCHW"
divide = 255.0
mean = [0.5, 0.5, 0.5]
deviation = 0.25

[sex]
input = "sex"
male = 1.0
female = -1.0

[age]
unit = "years"
"""


def save_network(path, batch="n", size=64, kind=TensorProto.FLOAT, sex=(1,), plus=10):
    """(B, 3, h, w), (B, *sex) -> (B, 1): the mean of the first channel, plus ten, plus the sex."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    first = numpy_helper.from_array(np.array([[1], [0], [0]], dtype), "first")
    ten = numpy_helper.from_array(np.array(plus, dtype), "ten")
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "first"], ["grey"]),
        helper.make_node("Sum", ["grey", "sex", "ten"], ["years"]),
    ]
    inputs = [
        helper.make_tensor_value_info("image", kind, [batch, 3, size, size]),
        helper.make_tensor_value_info("sex", kind, [batch, *sex]),
    ]
    outputs = [helper.make_tensor_value_info("years", kind, [batch, 1])]
    graph = helper.make_graph(nodes, "network", inputs, outputs, [first, ten])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BONEAGE_WEIGHTS", str(tmp_path))
    inside = tmp_path / "elsewhere"
    inside.mkdir()
    (inside / "model.toml").write_text(TOML)
    save_network(inside / "network.onnx")
    return inside


def describe(folder, old, new):
    assert old in TOML
    (folder / "model.toml").write_text(TOML.replace(old, new))


def test_a_model_from_elsewhere_is_fed_as_its_description_says(folder, hands):
    girl, boy = BoneAgeModel.load("elsewhere").predict([hands[0], hands[0]], "FM")
    assert isinstance(girl, Prediction)
    assert boy.bone_age_months - girl.bone_age_months == pytest.approx(24)
    [(low, high)] = [(girl.low_months, girl.high_months)]
    assert (low, high) == (girl.bone_age_months - 15, girl.bone_age_months + 15)
    # The mean grey, 0..255, of the upright hand: (grey / 255 - 0.5) / 0.25 years, plus ten, less one for a girl.
    grey = ((girl.bone_age_months / 12 - 9) * 0.25 + 0.5) * 255
    assert grey == pytest.approx(hands[0].mean(), abs=3)


def test_it_says_that_it_has_no_regions_and_checks_no_hand(folder, hands):
    [outcome] = BoneAgeModel.load("elsewhere").predict(hands[:1], "F")
    assert outcome.regions == {}
    assert outcome.heat_map is None
    assert any("no attention network" in note for note in outcome.notes)
    [blank] = BoneAgeModel.load("elsewhere").predict([np.zeros((200, 200), np.uint8)], "F")
    assert isinstance(blank, Refusal)
    assert blank.code == "blank"


def test_an_occlusion_map_needs_no_gradients_but_grad_cam_does(folder, hands):
    model = BoneAgeModel.load("elsewhere")
    assert model.explain(hands[0], "F", "occlusion").map.max() == 1
    with pytest.raises(ValueError, match=r"gradients, .* of a model from elsewhere there is an occlusion map"):
        model.explain(hands[0], "F", "gradcam")


def test_its_folder_is_listed_beside_the_shipped_ones(folder):
    listed = {model.name: model for model in available_models()}
    assert (listed["elsewhere"].version, listed["elsewhere"].kind) == ("2.1", "external")
    assert listed["elsewhere"].path == folder
    assert listed[DEFAULT_MODEL].kind == "two_stage"
    assert listed[DEFAULT_MODEL].problem == ""
    assert read_card(folder)["description"]["age"]["unit"] == "years"


def test_a_folder_in_no_order_is_listed_with_its_problem(folder):
    describe(folder, 'unit = "years"', 'unit = "decades"')
    [broken] = [model for model in available_models() if model.path == folder]
    assert "age.unit" in broken.problem
    assert broken.name == "elsewhere"


def test_another_description_is_another_fingerprint(folder):
    before = fingerprint(folder)
    describe(folder, "deviation = 0.25", "deviation = 0.5")
    assert fingerprint(folder) != before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('version = "2.1"', "", "version: field required"),
        ("size = 64", "size = 8", "image.size"),
        ("mean = [0.5, 0.5, 0.5]", "mean = [0.5]", "mean has 1 numbers for 3 channels"),
        ("deviation = 0.25", "deviation = 0.0", "deviation must be above 0"),
        ('unit = "years"', 'unit = "scaled"', "needs scale"),
        ('unit = "years"', 'unit = "classes"', "needs classes"),
        ("male = 1.0", "mail = 1.0", "sex.mail"),
        ('file = "network.onnx"', 'file = "../network.onnx"', "file"),
        ('file = "network.onnx"', 'file = "other.onnx"', "not beside it"),
        ("[sex]", "[sex", "is not TOML"),
    ],
)
def test_a_wrong_description_says_which_entry_is_wrong(folder, old, new, message):
    describe(folder, old, new)
    with pytest.raises(ValueError, match="model.toml.*" + message):
        read_description(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('input = "sex"', 'input = "gender"', "sex.input of model.toml is 'gender'; network.onnx has sex"),
        ('unit = "years"', 'unit = "years"\noutput = "age"', "age.output of model.toml is 'age'; .* has years"),
        ('[sex]\ninput = "sex"\nmale = 1.0\nfemale = -1.0', "", "does not describe: sex"),
    ],
)
def test_a_description_of_another_network_is_told_what_this_one_has(folder, old, new, message):
    describe(folder, old, new)
    with pytest.raises(ValueError, match=message):
        BoneAgeModel.load("elsewhere")


def test_what_is_no_network_is_an_error_that_says_so(folder):
    (folder / "network.onnx").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not an ONNX network"):
        BoneAgeModel.load("elsewhere")


@pytest.mark.parametrize("batch", [1, 4])
def test_a_network_of_a_fixed_batch_reads_any_number_of_images(folder, hands, batch):
    free = BoneAgeModel.load("elsewhere")
    expected = [outcome.bone_age_months for outcome in free.predict(hands, "FMFMF")]
    row = free.occlusion_row(hands[0], "F", 6)
    save_network(folder / "network.onnx", batch)
    fixed = BoneAgeModel.load("elsewhere")
    assert [outcome.bone_age_months for outcome in fixed.predict(hands, "FMFMF")] == pytest.approx(expected)
    np.testing.assert_allclose(fixed.occlusion_row(hands[0], "F", 6), row, atol=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('order = "NCHW"', 'order = "NHWC"', "image.order of model.toml is NHWC; network.onnx takes NCHW"),
        ("size = 64", "size = 128", "image.size of model.toml is 128; network.onnx takes 64"),
        (
            'channels = 3\norder = "NCHW"\ndivide = 255.0\nmean = [0.5, 0.5, 0.5]',
            'channels = 1\norder = "NCHW"',
            "image.channels of model.toml is 1; network.onnx takes 3",
        ),
    ],
)
def test_an_image_that_the_network_does_not_take_is_told_at_loading(folder, old, new, message):
    describe(folder, old, new)
    with pytest.raises(ValueError, match=message):
        BoneAgeModel.load("elsewhere")


def test_a_network_in_half_precision_is_told_at_loading(folder):
    save_network(folder / "network.onnx", kind=TensorProto.FLOAT16)
    with pytest.raises(ValueError, match=r"image.input: image of network.onnx takes tensor\(float16\)"):
        BoneAgeModel.load("elsewhere")


@pytest.mark.parametrize(("sex", "shape"), [((), "'n'"), ((2,), "'n', 2"), ((1, 1), "'n', 1, 1")])
def test_a_sex_of_another_shape_is_told_at_loading(folder, sex, shape):
    save_network(folder / "network.onnx", sex=sex)
    with pytest.raises(ValueError, match=rf"sex.input: sex of network.onnx has the shape \[{shape}\]; it is fed"):
        BoneAgeModel.load("elsewhere")


def test_inputs_of_different_batches_are_told_at_loading(folder):
    network = onnx.load(folder / "network.onnx")
    for batch, given in enumerate(network.graph.input, 1):
        given.type.tensor_type.shape.dim[0].dim_value = batch
    onnx.save(network, folder / "network.onnx")
    with pytest.raises(ValueError, match=r"inputs of network.onnx take batches of 1 and 2\."):
        BoneAgeModel.load("elsewhere")


@pytest.mark.parametrize("plus", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_no_bone_age(folder, hands, plus):
    save_network(folder / "network.onnx", plus=plus)
    model = BoneAgeModel.load("elsewhere")
    for read in (lambda: model.predict(hands, "FMFMF"), lambda: model.explain(hands[0], "F", "occlusion")):
        with pytest.raises(ValueError, match=f"network.onnx gave {plus} for a radiograph"):
            read()


def test_classes_none_of_which_is_likely_are_no_number(folder):
    describe(folder, 'unit = "years"', 'unit = "classes"\nclasses = [12, 24, 48]')
    assert np.isnan(read_description(folder).age.months(np.zeros((1, 3)))).all()


def test_what_onnx_runtime_cannot_load_is_an_error_that_says_so(folder, tmp_path):
    network = onnx.load(folder / "network.onnx")
    network.graph.node[0].op_type = "Unheard"
    onnx.save(network, folder / "network.onnx")
    with pytest.raises(ValueError, match=r"network.onnx is not an ONNX network that can be loaded: .*Unheard"):
        BoneAgeModel.load("elsewhere")
    with pytest.raises(MissingWeights, match=r"The model has no absent.onnx: export it with its ONNX files"):
        onnx_session(tmp_path / "absent.onnx")


def test_a_network_that_fails_at_a_radiograph_is_an_error_that_says_so(folder, hands):
    save_network(folder / "network.onnx", size="side")
    network = onnx.load(folder / "network.onnx")
    network.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 3, 32, 32), np.float32), "of_32_pixels"))
    network.graph.node[0].input[0] = "added"
    network.graph.node.insert(0, helper.make_node("Add", ["image", "of_32_pixels"], ["added"]))
    onnx.save(network, folder / "network.onnx")
    with pytest.raises(ValueError, match=r"network.onnx cannot read image \[2, 3, 64, 64\], sex \[2, 1\]: "):
        BoneAgeModel.load("elsewhere").predict(hands[:2], "FM")


def test_a_network_with_one_answer_for_all_images_is_an_error_that_says_so(folder, hands):
    network = onnx.load(folder / "network.onnx")
    network.graph.node[-1].output[0] = "each"
    network.graph.node.append(helper.make_node("ReduceMean", ["each"], ["years"], keepdims=0))
    network.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(network, folder / "network.onnx")
    with pytest.raises(ValueError, match=r"network.onnx gives an output of the shape \[\] for 2 images"):
        BoneAgeModel.load("elsewhere").predict(hands[:2], "FM")


def test_classes_are_read_as_the_mean_of_their_ages(folder):
    describe(folder, 'unit = "years"', 'unit = "classes"\nclasses = [12, 24, 48]\nlogits = true')
    age = read_description(folder).age
    shares = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(age.months(np.log(shares + 1e-12)), [24, 48], atol=1e-6)
    with pytest.raises(ValueError, match="gives 2 numbers per image"):
        age.months(np.zeros((1, 2)))


@pytest.fixture
def both(folder, monkeypatch):
    """An ensemble of the model and an older one."""
    other = folder.with_name("older")
    other.mkdir()
    description = TOML.replace('"elsewhere"', '"older"').replace('unit = "years"', 'unit = "scaled"\nscale = 14.0')
    (other / "model.toml").write_text(description)
    save_network(other / "network.onnx")
    monkeypatch.setitem(presets.PRESETS, "both", Ensemble("both", "two of them", ("elsewhere", "older")))
    return presets.PRESETS["both"]


def test_an_ensemble_reads_the_mean_of_its_members(both, hands):
    both, *members = (BoneAgeModel.load(name).predict(hands[:1], "F")[0] for name in ("both", "elsewhere", "older"))
    assert both.bone_age_months == pytest.approx(np.mean([one.bone_age_months for one in members]))
    assert both.low_months == pytest.approx(np.mean([one.low_months for one in members]))
    assert members[0].bone_age_months != members[1].bone_age_months
    [refused] = BoneAgeModel.load("both").predict([np.zeros((50, 50), np.uint8)], "F")
    assert refused.code == "too-small"


def test_an_ensemble_explains_by_the_mean_of_its_members_rows(both, hands):
    mean, *each = (BoneAgeModel.load(name).occlusion_row(hands[0], "F", 6) for name in ("both", "elsewhere", "older"))
    np.testing.assert_allclose(mean, np.mean(each, axis=0), rtol=1e-5)
    whole = BoneAgeModel.load("both").explain(hands[0], "F", "occlusion")
    assert (whole.map.shape, whole.map.max()) == ((GRID, GRID), 1)
    assert whole.months >= mean.max() - 1e-4
    assert BoneAgeModel.load("both").explain(np.zeros((50, 50), np.uint8), "F", "occlusion").code == "too-small"
    with pytest.raises(ValueError, match="Grad-CAM is of its members, elsewhere, older"):
        BoneAgeModel.load("both").explain(hands[0], "F", "gradcam")
    assert BoneAgeModel.load("both").occlusion_row(np.zeros((50, 50), np.uint8), "F", 6).code == "too-small"


def test_an_ensemble_gathered_in_a_folder_is_a_model_of_its_own(both, folder, hands):
    inside = folder.with_name("both")
    before = BoneAgeModel.load("both").predict(hands[:1], "F")
    export.main(["--preset", "both", "--out", str(folder.parent)])
    listed = {model.name: model for model in available_models()}["both"]
    assert (listed.kind, listed.path, listed.problem) == ("ensemble", inside, "")
    assert listed.card["members"] == {"elsewhere": "2.1", "older": "2.1"}

    # Its members may change, or go: it holds its own.
    (folder / "network.onnx").unlink()
    [again] = BoneAgeModel.load("both", folder=inside).predict(hands[:1], "F")
    assert again.bone_age_months == before[0].bone_age_months
    [pinned] = BoneAgeModel.load("both").predict(hands[:1], "F")
    assert pinned.bone_age_months == before[0].bone_age_months
    assert BoneAgeModel.load("both", folder=inside).version == listed.version
    whole = fingerprint(inside)
    (inside / "older" / "network.onnx").write_bytes(b"other")
    assert fingerprint(inside) != whole


def test_an_ensemble_with_another_member_is_another_version(both, folder):
    versions = set()
    for member in ("elsewhere", "older"):
        # Of another interval, which is no other version by its own name.
        path = folder.with_name(member) / "model.toml"
        path.write_text(path.read_text().replace("interval90_months = 15.0", "interval90_months = 16.0"))
        export.main(["--preset", "both", "--out", str(folder.parent)])
        versions |= {BoneAgeModel.load("both").version}
    assert len(versions) == 2


def test_an_ensemble_of_the_same_members_has_the_same_version(both, folder):
    versions = []
    for _ in range(2):
        export.main(["--preset", "both", "--out", str(folder.parent)])
        versions.append(read_card(folder.with_name("both"))["version"])
    assert versions[0] == versions[1]


def test_an_ensemble_cannot_be_trained():
    with pytest.raises(ValueError, match="train and export each of these"):
        presets.trainable("ensemble_compact")


def test_the_card_of_a_model_from_elsewhere_can_be_kept(folder):
    assert json.loads(json.dumps(read_card(folder)))["name"] == "elsewhere"
