"""The vendored models against the installed botocore: what a newer release brings is listed as failures."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _load():
    spec = importlib.util.spec_from_file_location("update_contract", ROOT / "scripts" / "update_contract.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


update_contract = _load()
SERVICES = [(name, version) for name, version, _ in update_contract.SERVICES]


def vendored(name):
    return json.loads((update_contract.DATA / f"{name}.json").read_text(encoding="utf-8"))


def release(text):
    return [int(part) for part in text.split(".")]


@pytest.fixture
def installed():
    package = update_contract.installed_package()
    version = update_contract.release_of(package)
    if release(version) < release(vendored("ecr")["metadata"]["botocore"]):
        pytest.skip(f"the installed botocore {version} is older than the vendored model")
    return package, version


@pytest.mark.parametrize(("name", "api_version"), SERVICES)
def test_the_installed_botocore_brings_nothing_new(installed, name, api_version):
    package, version = installed

    found = update_contract.differences(vendored(name), update_contract.read_model(package, name, api_version, version))

    assert found == [], "run scripts/update_contract.py, then build what is new"


@pytest.mark.parametrize(("name", "api_version"), SERVICES)
def test_the_data_is_what_the_script_writes(installed, name, api_version):
    package, version = installed
    if version != vendored(name)["metadata"]["botocore"]:
        pytest.skip(f"the data was made from another release than the installed {version}")

    text = update_contract.render(update_contract.read_model(package, name, api_version, version))

    assert (update_contract.DATA / f"{name}.json").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", ["ecr", "ecr-public"])
def test_the_data_has_no_documentation(name):
    model = vendored(name)

    assert "documentation" not in json.dumps(model).lower()
    assert {key for shape in model["shapes"].values() for key in shape} <= {
        "type", "min", "max", "pattern", "enum", "required", "exception", "fault", "member", "key", "value", "members",
    }  # fmt: skip
    assert {type(member) for shape in model["shapes"].values() for member in shape.get("members", {}).values()} == {str}


def test_differences_are_listed_one_by_one():
    ours = {
        "operations": {
            "Old": {"input": "A", "output": "B", "errors": []},
            "Same": {"input": "A", "output": "B", "errors": ["X"]},
        },
        "shapes": {
            "A": {"type": "structure", "required": ["a"], "members": {"a": "S", "b": "S"}},
            "S": {"type": "string", "max": 5},
        },
    }
    theirs = {
        "operations": {
            "New": {"input": "A", "output": "B", "errors": []},
            "Same": {"input": "A", "output": "B", "errors": ["X", "Y"], "pagination": {"limit_key": "m"}},
        },
        "shapes": {
            "A": {"type": "structure", "members": {"a": "T", "c": "S"}},
            "S": {"type": "string", "max": 6, "enum": ["v"]},
            "T": {"type": "string"},
        },
    }

    assert update_contract.differences(ours, theirs) == [
        "new operation New",
        "gone operation Old",
        "new error of Same: Y",
        'changed pagination of Same: null -> {"limit_key":"m"}',
        "new shape T",
        "new member of A: c",
        "gone member of A: b",
        'changed required of A: ["a"] -> null',
        'changed shape of A.a: "S" -> "T"',
        'changed enum of S: null -> ["v"]',
        "changed max of S: 5 -> 6",
    ]


def test_a_release_without_the_known_operations_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(update_contract, "SERVICES", (("ecr", "2015-09-21", 63),))
    monkeypatch.setattr(update_contract, "DATA", tmp_path)

    with pytest.raises(SystemExit, match="has 62 operations of ecr; 63 are known"):
        update_contract.update(update_contract.installed_package(), check=False)
    assert list(tmp_path.iterdir()) == []


def test_check_writes_nothing_and_tells_by_its_exit_status(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(update_contract, "DATA", tmp_path)
    package = update_contract.installed_package()
    assert update_contract.update(package, check=False) == 0
    path = tmp_path / "ecr.json"
    path.write_text(path.read_text().replace('"DescribeRegistry":{', '"DescribeNothing":{'))
    before = path.read_bytes()

    assert update_contract.update(package, check=True) == 1

    assert path.read_bytes() == before
    assert "  new operation DescribeRegistry\n  gone operation DescribeNothing\n" in capsys.readouterr().out


def test_the_release_is_read_without_importing_the_package(tmp_path):
    (tmp_path / "__init__.py").write_text("import no_such_module\n__version__ = '9.8.7'\n")

    assert update_contract.release_of(tmp_path) == "9.8.7"
    assert "no_such_module" not in sys.modules
