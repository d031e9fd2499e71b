"""Nothing on a lower floor imports a higher one; docs/architecture.md says who lives where."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = re.findall(r"^\| (\d) \| `([\w/.]+)` \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
FLOORS = {path.removesuffix(".py").replace("/", "."): int(floor) for floor, path in ROWS}
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for package in ("boneage_portal", "reports", "clinical", "inference")
    for file in (ROOT / package).rglob("*.py")
}


def floor_of(module):
    """Of the longest name in the document that `module` begins with."""
    homes = [name for name in FLOORS if f"{module}.".startswith(f"{name}.")]
    return FLOORS[max(homes, key=len)] if homes else None


def imported_by(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{name.name}" for name in node.names]
            yield from (name if name in MODULES else node.module for name in inner)


def test_every_module_has_a_floor():
    assert [module for module in MODULES if floor_of(module) is None] == ["clinical"]


def test_no_module_imports_from_a_higher_floor():
    imports = [(module, name) for module, file in MODULES.items() for name in imported_by(file) if name in MODULES]
    assert len(imports) > 500
    assert [(module, name) for module, name in imports if floor_of(name) > floor_of(module)] == []
