import json

import pytest

from inference.training import systems


class Steps(list):
    """What was run, as (system, command, arguments); a step in `failing` ends with status 2."""

    def __init__(self, folder):
        self.folder, self.failing = folder, set()

    def run(self, *arguments):
        folders = ("--data", "radiographs", "--runs", self.folder / "runs", "--weights", self.folder / "weights")
        systems.main([str(argument) for argument in (*arguments, *folders)])

    def take(self, step, name, at_once):
        command, *arguments = step
        self.append((name, command, arguments))
        if (name, command) in self.failing:
            return 2
        if command == "card":
            made = self.folder / "weights" / name
            made.mkdir(parents=True)
            (made / "card.json").write_text(json.dumps({"name": name, "evaluation": {"validation": {"n": 1}}}))
        return 0

    def of(self, name, command):
        """The arguments of that step of the system."""
        [arguments] = [arguments for one, other, arguments in self if (one, other) == (name, command)]
        return " ".join(arguments)

    def place(self, name, command):
        return [step[:2] for step in self].index((name, command))


@pytest.fixture
def steps(monkeypatch, tmp_path):
    steps = Steps(tmp_path)
    monkeypatch.setenv("BONEAGE_WEIGHTS", "")  # brought back after the test
    monkeypatch.setattr(systems, "run_step", steps.take)
    return steps


def test_every_system_is_trained_exported_measured_and_given_its_figures(steps):
    steps.run("simple_cnn", "inception_resnet_v2", "--minutes", 8, "--precision", "float32", "--accelerated")
    assert [step[:2] for step in steps] == [
        (name, command)
        for name in ("simple_cnn", "inception_resnet_v2")
        for command in ("train", "export", "evaluate", "card")
    ]
    assert "--minutes 8.0 " in steps.of("simple_cnn", "train")
    assert "--minutes 4.0 " in steps.of("inception_resnet_v2", "train")  # of each of its two networks
    assert "--precision float32 --accelerated" in steps.of("simple_cnn", "train")
    assert "--beside" not in steps.of("simple_cnn", "train")
    assert "--runtime onnx" in steps.of("simple_cnn", "evaluate")
    assert "--without-int8" in steps.of("simple_cnn", "export")


def test_where_tensorflow_is_not_they_are_measured_in_keras(steps):
    steps.run("simple_cnn", "--without-onnx")
    assert "--without-onnx" in steps.of("simple_cnn", "export")
    assert "--runtime tensorflow" in steps.of("simple_cnn", "evaluate")


def test_stage_1_is_fitted_once_and_members_come_before_their_mean(steps):
    steps.run("ensemble_whole_hand", "two_stage_metacarpal", "two_stage", "--at-once", 3, "--minutes", 12)
    assert steps.place("two_stage", "card") < steps.place("two_stage_metacarpal", "train")
    assert "--attention-of" not in steps.of("two_stage", "train")
    assert "--minutes 3.0 " in steps.of("two_stage", "train")  # stage 1, each branch alone, both together
    assert "--attention-of two_stage --minutes 12.0 " in steps.of("two_stage_metacarpal", "train")  # its one branch
    for member in ("efficientnet_b0", "resnet101", "xception"):
        assert steps.place(member, "card") < steps.place("ensemble_whole_hand", "export")
    assert not any(step[:2] == ("ensemble_whole_hand", "train") for step in steps)
    assert "--beside 2" in steps.of("xception", "train")


def test_weights_that_are_there_serve_what_needs_them(steps):
    steps.run("two_stage_wide_hand")  # those of two_stage_compact are shipped
    assert {step[0] for step in steps} == {"two_stage_wide_hand"}
    assert "--attention-of two_stage_compact" in steps.of("two_stage_wide_hand", "train")


def test_one_that_fails_holds_up_only_what_needs_it_and_is_taken_up_again(steps):
    asked = ("efficientnet_b0", "resnet101", "xception", "ensemble_whole_hand", "simple_cnn")
    steps.failing = {("resnet101", "export")}
    with pytest.raises(SystemExit) as ended:
        steps.run(*asked)
    assert ended.value.code == (
        "resnet101 is not measured: export ended with status 2, see above.\n"
        "ensemble_whole_hand is not measured: it needs resnet101."
    )
    assert ("simple_cnn", "card") in [step[:2] for step in steps]
    steps.clear()
    steps.failing = set()
    steps.run(*asked)
    assert {step[0] for step in steps} == {"resnet101", "ensemble_whole_hand"}


def test_a_step_says_whose_it_is_and_how_it_ended(tmp_path, capfd):
    assert systems.run_step(["card", "--weights", str(tmp_path), "--speed", "9"], "vit", at_once=2) == 2
    assert "vit: python -m inference.training.card: error: unrecognized arguments: --speed 9" in capfd.readouterr().out


def test_a_wrong_name_lists_the_right_ones(steps, capsys):
    with pytest.raises(SystemExit):
        steps.run("resnet", "vit")
    assert "There is no preset 'resnet'. Choose one of: bonet, " in capsys.readouterr().err
    assert steps == []


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--minutes", "-5", "-5 is not above 0."),
        ("--at-once", "0", "0 is below 1."),
        ("--robustness", "-1", "-1 is below 0."),
    ],
)
def test_a_number_that_cannot_be_is_told_before_anything_is_trained(steps, capsys, option, value, sentence):
    with pytest.raises(SystemExit):
        steps.run("vit", f"{option}={value}")
    assert f"argument {option}: {sentence}" in capsys.readouterr().err
    assert steps == []
