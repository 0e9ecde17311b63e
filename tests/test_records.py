import json

import pytest
import torch

from gemsnn.errors import InputError
from gemsnn.store.files import atomic_write
from gemsnn.store.records import RunFolder, provenance

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}


def test_a_run_folder_is_made_once(tmp_path):
    run = RunFolder.create(tmp_path / "deep" / "run")
    run.write("config.toml", "")
    with pytest.raises(InputError, match=r"not a run folder"):
        RunFolder.open(run.path)
    run.write("manifest.json", "{}")
    with pytest.raises(InputError, match="exists already"):
        RunFolder.create(run.path)
    run.write_json("manifest.json", {"seed": 1})
    assert RunFolder.open(run.path).read_json("manifest.json") == {"seed": 1}
    with pytest.raises(InputError, match="not a folder"):
        RunFolder.open(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"):
        RunFolder.create(tmp_path / "file" / "run")


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    atomic_write(tmp_path / "x", "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        atomic_write(tmp_path / "x", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_json_has_no_nan(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    with pytest.raises(ValueError, match="JSON"):
        run.write_json("metrics.json", {"nll": float("nan")})
    assert not (run.path / "metrics.json").exists()


def test_checkpoints_come_back(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    run.save_checkpoint({"a": torch.zeros(1)}, {"batches": 1})
    run.save_checkpoint(TENSORS, {"batches": 2})
    found, facts = run.load_checkpoint()
    assert facts["batches"] == 2
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)
    names = {path.name for path in (run.path / "checkpoint").iterdir() if path.suffix == ".json"}
    assert names == {"checkpoint.json", "previous.json"}
    run.save_checkpoint(TENSORS, {"batches": 3})  # the last two are kept, and here have the same tensors
    assert len(list((run.path / "checkpoint").glob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    "damage", ["tensors flipped", "tensors cut", "tensors gone", "facts flipped", "facts cut", "facts gone"]
)
def test_the_checkpoint_before_a_damaged_one_is_used(tmp_path, damage):
    run = RunFolder.create(tmp_path / "run")
    run.save_checkpoint(TENSORS, {"batches": 1})
    run.save_checkpoint({"a": torch.zeros(9)}, {"batches": 2})
    folder = run.path / "checkpoint"
    newest = json.loads((folder / "checkpoint.json").read_text())["tensors"]
    file = folder / (newest if damage.startswith("tensors") else "checkpoint.json")
    content = file.read_bytes()
    if damage.endswith("gone"):
        file.unlink()
    elif damage.endswith("cut"):
        file.write_bytes(content[: len(content) // 2])
    else:
        where = content.index(b'"batches": 2') + 11 if b'"batches"' in content else len(content) // 2
        file.write_bytes(content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :])
    heard = []
    found, facts = run.load_checkpoint(note=heard.append)
    assert facts["batches"] == 1
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)
    (words,) = heard
    assert "going on from the checkpoint before it" in words
    # the next checkpoint makes both whole again
    run.save_checkpoint({"a": torch.ones(9)}, {"batches": 3})
    assert run.load_checkpoint(note=heard.append)[1]["batches"] == 3


def test_a_folder_in_use_is_locked(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    with (
        run.locked(),
        pytest.raises(InputError, match="in use by another process"),
        RunFolder(run.path).locked(),
    ):
        pass
    with RunFolder(run.path).locked():
        pass


def test_a_run_that_never_began_may_be_begun(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    with run.locked():
        run.write("config.toml", "")
    RunFolder.check_free(run.path)
    run.write("manifest.json", "{}")
    with pytest.raises(InputError, match="exists already"):
        RunFolder.check_free(run.path)


def test_damage_is_named(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    with pytest.raises(InputError, match=r"checkpoint\.json is missing"):
        run.load_checkpoint()
    run.save_checkpoint(TENSORS, {})
    (file,) = (run.path / "checkpoint").glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match="SHA-256 differs"):
        run.load_checkpoint()
    file.unlink()
    with pytest.raises(InputError, match="is missing"):
        run.load_checkpoint()
    facts = run.path / "checkpoint" / "checkpoint.json"
    facts.write_text(json.dumps({"format": 99}))
    with pytest.raises(InputError, match="format 99"):
        run.load_checkpoint()
    facts.write_text("{")
    with pytest.raises(InputError, match="damaged"):
        run.load_checkpoint()


def test_a_checkpoint_cannot_name_a_file_elsewhere(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    run.save_checkpoint(TENSORS, {})
    (file,) = (run.path / "checkpoint").glob("*.safetensors")
    file.rename(tmp_path / file.name)
    facts = run.path / "checkpoint" / "checkpoint.json"
    kept = json.loads(facts.read_text())
    del kept["facts_sha256"]
    facts.write_text(json.dumps(kept | {"tensors": f"../../{file.name}"}))
    with pytest.raises(InputError, match="is missing"):
        run.load_checkpoint()


def test_provenance_names_versions():
    found = provenance()
    assert found["torch"] == torch.__version__
    assert {"gemsnn", "python", "numpy", "platform", "processor", "threads", "git_commit"} <= found.keys()
