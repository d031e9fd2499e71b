import pytest

from inference.training.files import replacing


def test_a_file_is_replaced_once_it_is_whole(tmp_path):
    path = tmp_path / "boxes.npz"
    path.write_text("old")
    with replacing(path) as written:
        written.write_text("new")
        assert written.suffix == ".npz"
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_an_interruption_leaves_what_was_there(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("old")

    def interrupted():
        with replacing(path) as written:
            written.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
