"""What can be changed in a module: every mutant of its source, as a node of its syntax tree and another one.

Owns the operators. Docstrings, annotations, imports and `if TYPE_CHECKING:` blocks are no behaviour and stay.
"""

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CONTEXT_LONGEST = 90  # characters of source that name a mutant

_COMPARISONS: dict[type, tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type, type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.BitXor: ast.BitAnd,
}
_OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_CONTAINERS = (ast.Tuple, ast.List, ast.Dict)
_NOT_WALKED = ("annotation", "returns", "ctx", "decorator_list", "type_params")


@dataclass
class Mutant:
    """One change in the tree of `module`. `name` says where and what, and stays while other lines move."""

    module: str
    name: str
    line: int
    parent: ast.AST
    field: str
    index: int | None
    new: ast.AST

    def apply(self) -> None:
        """Change the tree for good: for a process that ends with its mutant."""
        _put(self.parent, self.field, self.index, self.new)


@dataclass
class _Place:
    """Where a node stands: (parent, field, index) of itself, then of its parent, and so on."""

    steps: tuple[tuple[ast.AST, str, int | None], ...]
    names: tuple[str, ...]  # of the functions, classes and tables around it
    is_table: bool  # whether it is part of the value of a name of the module


def mutants(module: str, tree: ast.Module) -> list[Mutant]:
    """Return every Mutant of `tree`, in the order of the source; the tree itself is as before."""
    found = []
    seen: Counter[str] = Counter()
    for node, place in _nodes(tree, _Place((), (), False)):
        for new in _changes(node, place):
            ast.copy_location(new, node)
            ast.fix_missing_locations(new)
            parent, field, index = place.steps[0]
            name = _name(module, node, new, place)
            seen[name] += 1
            if seen[name] > 1:
                name += " (%d)" % seen[name]
            above = (node, *(step[0] for step in place.steps))
            line = next(line for n in above if (line := getattr(n, "lineno", None)))
            found.append(Mutant(module, name, line, parent, field, index, new))
    return found


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _name(module: str, node: ast.AST, new: ast.AST, place: _Place) -> str:
    """Return "module.Class.function: before -> after", with as much source around it as stays readable."""
    context, whole = node, new
    parent, field, index = place.steps[0]
    for above, _, _ in place.steps:
        is_part = not isinstance(context, ast.stmt)
        if not is_part or not isinstance(
            above, ast.expr | ast.Assign | ast.AugAssign | ast.Return | ast.Expr
        ):
            break
        if len(ast.unparse(above)) > CONTEXT_LONGEST:
            break
        context = whole = above
    where = ".".join((module, *place.names))
    note = getattr(new, "note", None)
    if note:
        return "%s: %s" % (where, note)
    before = _shown(context)
    if isinstance(parent, ast.arguments) and index is not None:  # a default: of which argument?
        argument = parent.args[index - len(parent.defaults)].arg
        return "%s: %s=%s -> %s=%s" % (where, argument, before, argument, _shown(new))
    if context is node:
        after = _shown(new)
    else:
        _put(parent, field, index, new)
        after = _shown(whole)
        _put(parent, field, index, node)
    return "%s: %s -> %s" % (where, before, after)


def _shown(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _nodes(node: ast.AST, place: _Place) -> Iterator[tuple[ast.AST, _Place]]:
    """Yield (node, place) of all that behaves, parents first."""
    names, is_table = place.names, place.is_table
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        names = (*names, node.name)
    elif isinstance(node, ast.Assign) and not names and isinstance(node.targets[0], ast.Name):
        names, is_table = (node.targets[0].id,), True
    for field, value in ast.iter_fields(node):
        if field in _NOT_WALKED:
            continue
        for index, item in enumerate(value) if isinstance(value, list) else ((None, value),):
            if isinstance(item, ast.AST) and _behaves(node, field, index, item):
                inside = _Place(((node, field, index), *place.steps), names, is_table)
                yield item, inside
                yield from _nodes(item, inside)


def _behaves(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> bool:
    """Return False for docstrings, imports, what is for the type checker, and a namedtuple's own name."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
        return not node.test.id.endswith("TYPE_CHECKING")
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return not node.targets[0].id.endswith("TYPE_CHECKING")
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id == "namedtuple":
        return field != "args" or index != 0
    return not isinstance(node, ast.Import | ast.ImportFrom)


# --- the operators -----------------------------------------------------------------------------------------


def _with(node: ast.AST, **fields: Any) -> Any:
    """Return `node` with other `fields`; its other children are shared."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _changes(node: ast.AST, place: _Place) -> Iterator[ast.AST]:
    """Yield what `node` is replaced by, one mutant each."""
    if isinstance(node, ast.stmt):
        if len(place.names):
            yield from _statement(node)
    elif isinstance(node, ast.comprehension):
        yield from (_with(node, ifs=[*node.ifs[:i], *node.ifs[i + 1 :]]) for i in range(len(node.ifs)))
    elif isinstance(node, ast.Slice):
        if node.lower:
            yield _with(node, lower=None)
        if node.upper:
            yield _with(node, upper=None)
    elif isinstance(node, ast.expr):
        parent, field, _ = place.steps[0]
        if field == "test" and isinstance(parent, ast.If | ast.IfExp):
            yield ast.Constant(True)
        if field == "test":
            yield ast.Constant(False)
        if field == "iter":
            yield ast.Tuple([], ast.Load())
        if isinstance(node, ast.Tuple | ast.List | ast.Dict):
            yield from _table(node, place)
        else:
            yield from _expression(node, place)


def _statement(node: ast.stmt) -> Iterator[ast.stmt]:
    if isinstance(node, ast.Return):
        if node.value and not (isinstance(node.value, ast.Constant) and not node.value.value):
            yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.Raise | ast.Break | ast.Continue):
        yield ast.Pass()
    if isinstance(node, ast.AugAssign) and type(node.op) in _ARITHMETIC:
        yield _with(node, op=_ARITHMETIC[type(node.op)]())


def _expression(node: ast.expr, place: _Place) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for other in _COMPARISONS[type(op)]:
                yield _with(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for i in range(len(node.values)):
            rest = [*node.values[:i], *node.values[i + 1 :]]
            if len(rest) == 1:
                yield copy.copy(rest[0])
            else:
                yield _noted(_with(node, values=rest), "without", node.values[i])
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield copy.copy(node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        if not (isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant)):  # words to fill in
            yield _with(node, op=_ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.Constant):
        yield from _constant(node.value)
    elif isinstance(node, ast.Name):
        if node.id in _OPPOSITES:
            yield ast.Name(_OPPOSITES[node.id], ast.Load())
        elif place.is_table:
            yield from _neighbour(node, place)


def _constant(value: object) -> Iterator[ast.expr]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        yield ast.Constant(value + 1)
        yield ast.Constant(value - 1)
    elif isinstance(value, str):
        yield ast.Constant(value[:-1] + "?" if value else "?")
    elif isinstance(value, bytes):
        yield ast.Constant(value[:-1] + b"?" if value else b"?")


def _table(node: ast.Tuple | ast.List | ast.Dict, place: _Place) -> Iterator[ast.expr]:
    """Yield the table without one row each, and with each row in the place of the next.

    A row itself keeps its length; two cells of one kind that stand side by side change places. Elsewhere than
    in a table of the module only a choice (`x in ("a", "b")`) loses its members.
    """
    parent = place.steps[0][0]
    is_choice = isinstance(parent, ast.Compare) and isinstance(parent.ops[0], ast.In | ast.NotIn)
    if not (place.is_table or is_choice) or isinstance(getattr(node, "ctx", None), ast.Store):
        return
    rows = node.values if isinstance(node, ast.Dict) else node.elts
    is_row = isinstance(parent, _CONTAINERS) and not all(isinstance(row, _CONTAINERS) for row in rows)
    if isinstance(node, ast.Dict) or not is_row:
        for i, row in enumerate(rows):
            kept = [*rows[:i], *rows[i + 1 :]]
            if isinstance(node, ast.Dict):
                keys = [*node.keys[:i], *node.keys[i + 1 :]]
                yield _noted(_with(node, keys=keys, values=kept), "without", node.keys[i])
            else:
                yield _noted(_with(node, elts=kept), "without", row)
    for i in range(len(rows) - 1 if place.is_table else 0):
        if ast.dump(rows[i]) == ast.dump(rows[i + 1]) or (is_row and _kind(rows[i]) != _kind(rows[i + 1])):
            continue
        swapped = [*rows[:i], rows[i + 1], rows[i], *rows[i + 2 :]]
        field = "values" if isinstance(node, ast.Dict) else "elts"
        yield _noted(_with(node, **{field: swapped}), "swapped", rows[i], rows[i + 1])


def _kind(cell: ast.expr) -> object:
    return type(cell.value) if isinstance(cell, ast.Constant) else type(cell)


def _noted(new: ast.expr, word: str, *nodes: ast.AST | None) -> ast.expr:
    """Return `new` with the words that name it in place of the whole table before and after."""
    vars(new)["note"] = "%s %s" % (word, " and ".join(_shown(node) for node in nodes if node))
    return new


def _neighbour(node: ast.Name, place: _Place) -> Iterator[ast.expr]:
    """Yield, for a name in a row of a table, the next other name in that column of the table."""
    if len(place.steps) < 2:
        return
    (row, field, column), (table, rows_field, number) = place.steps[:2]
    if isinstance(row, ast.Dict):
        others = row.values[(column or 0) + 1 :] + row.values[: column or 0] if field == "values" else []
    elif isinstance(table, ast.Tuple | ast.List) and column is not None and number is not None:
        rows = getattr(table, rows_field)
        cells = [r.elts for r in rows[number + 1 :] + rows[:number] if isinstance(r, ast.Tuple | ast.List)]
        others = [cell[column] for cell in cells if len(cell) > column]
    else:
        others = []
    for other in others:
        if isinstance(other, ast.Name) and other.id != node.id:
            yield ast.Name(other.id, ast.Load())
            return
