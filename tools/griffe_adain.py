"""What griffe, which reads the docstrings for `make docs`, cannot know about this package.

Public names are in a table and looked up when first used; texts of flags are arguments of a call.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import griffe


class AdainExtension(griffe.Extension):
    """Public names as members of `adain`, flags with default and help, names in texts as links."""

    def on_package(self, *, pkg: griffe.Module, **_) -> None:
        public = ast.literal_eval(str(pkg["_PUBLIC"].value))
        shared = dict(_entries(_parse(pkg["options.SHARED"])))
        for item in _walk(pkg):
            if isinstance(item, griffe.Attribute) and isinstance(item.parent, griffe.Class):
                _explain_flag(item, shared)
            if item.docstring:
                item.docstring.value = link_names(_in_sections(item.docstring.value), public)
        self._know_errors(pkg)
        for name, module in public.items():
            pkg.set_member(name, griffe.Alias(name, pkg[f"{module}.{name}"], parent=pkg))

    def _know_errors(self, pkg: griffe.Module) -> None:
        """Errors that pass through a module are in its docstrings, but not among its imports."""
        items = list(_walk(pkg))
        errors = [
            item for item in items if item.is_class and item.name.endswith(("Error", "Extra"))
        ]
        for module in items:
            for error in errors:
                if module.is_module and error.name not in module.members:
                    module.set_member(error.name, griffe.Alias(error.name, error, parent=module))


def link_names(text: str, names) -> str:
    """Public names in backticks, with or without `adain.` and parentheses, as links to them."""

    def link(match: re.Match) -> str:
        return f"[{match[0]}][adain.{match[1]}]" if match[1] in names else match[0]

    return re.sub(r"(?<![`\[])`(?:adain\.)?(\w+)(?:\(\))?`(?!`)", link, text)


def _in_sections(text: str) -> str:
    """A docstring as griffe reads them: an entry for each name, `Examples` for doctests."""
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)

    def divide(match: re.Match) -> str:
        return "".join(f"    {name}: {match[2]}" for name in match[1].split(", "))

    several = r"^    (\*{0,2}\w+(?:, \w+)+): (.*\n?(?:^ {8}.*\n?)*)"
    return re.sub(several, divide, text, flags=re.MULTILINE)


def _walk(item: griffe.Object) -> Iterator[griffe.Object]:
    yield item
    for member in item.members.values():
        if not member.is_alias:
            yield from _walk(member)


def _parse(attribute: griffe.Attribute) -> ast.expr:
    return ast.parse(str(attribute.value), mode="eval").body


def _entries(table: ast.Dict) -> Iterator[tuple[str, ast.Call]]:
    for key, call in zip(table.keys, table.values, strict=True):
        yield ast.literal_eval(key), call


def _explain_flag(attribute: griffe.Attribute, shared: dict[str, ast.Call]) -> None:
    """Replace a call of `flag` or `shared` by the default, with the help as docstring."""
    if not str(attribute.value).startswith(("flag(", "shared(")):
        return
    call = _parse(attribute)
    if call.func.id == "shared":
        call = shared[ast.literal_eval(call.args[0])]
    default, text = call.args[:2]
    attribute.value = ast.unparse(default)
    text = _text(text, attribute.module).rstrip(".")
    attribute.docstring = griffe.Docstring(f"{text[0].upper()}{text[1:]}.", parent=attribute)


def _text(node: ast.expr, module: griffe.Module) -> str:
    """A help text as far as it stands in the source; `[...]` for what is computed."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.BinOp):
        return _text(node.left, module) + _text(node.right, module)
    if isinstance(node, ast.Name):
        return _text(_parse(module[node.id]), module)
    return "[...]"
