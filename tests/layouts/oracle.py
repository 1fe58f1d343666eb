"""Placing, cell by cell: slow, plain, and independent of the schedules, walks, runs and ticks of the package.

Times are exact fractions of a second here. A cell is (vocabulary block, symbol, owner, item): the owner is the stream
whose prediction the cell is (a tuple: of any of them; none: of nobody), the item how many of its items lie before.
"""

from fractions import Fraction

import numpy as np

from oration.core import ABSENT, GIVEN, PREDICT, TICKS
from oration.layouts import Chunk, Line, Ratio, Say, Stack, Time, Weave


def columns(block, example, specs):
    """One dict per step: row -> cell."""
    match block:
        case Line(stream, row):
            return [{row: cell} for cell in cells(stream, example, ("end", 0))]
        case Say(symbols, stream, row):
            return [{row: (stream, symbol, (), 0)} for symbol in symbols]
        case Stack(streams, delays, end, names):
            rows = {}
            for k, s in enumerate(streams):
                row = cells(s, example, (s, 0) if end == "zeros" else ("end", 0))
                rows[names[k] if names else s] = [None] * (delays[k] if delays else 0) + row[
                    : -1 if end == "never" else None
                ]
            steps = max(len(row) for row in rows.values() if any(row)) if any(map(any, rows.values())) else 0
            return [{s: row[t] for s, row in rows.items() if t < len(row) and row[t]} for t in range(steps)]
        case Weave(arms, by, marks, row):
            marks = by.marked if marks is None else marks
            weave = {Ratio: by_ratio, Chunk: by_chunk, Time: by_time}[type(by)]
            return [{row: cell} for cell in weave(arms, by, marks, example, specs)]


def cells(stream, example, end):
    """The items of a stream and its end."""
    items = [(stream, int(symbol), (stream,), item) for item, symbol in enumerate(example[stream].ids)]
    return [*items, (*end, (stream,), len(items))]


def by_ratio(arms, by, marks, example, specs):
    left = {arm: cells(arm, example, ("]" + arm, 0)) for arm in arms}
    row = []
    while any(left.values()):
        for arm, many in zip(arms, by.counts, strict=True):
            if left[arm]:
                row += [("@" + arm, 0, (), 0)] * marks + left[arm][:many]
                left[arm] = left[arm][many:]
    return row


def by_chunk(arms, by, marks, example, specs):
    items = {arm: cells(arm, example, ("end", 0))[:-1] for arm in arms}
    when = {arm: seconds(arm, example, specs) for arm in arms}
    done = dict.fromkeys(arms, 0)
    row, now, edge, last = [], arms[0], Fraction(0), max((t for arm in arms for t in when[arm]), default=-1)
    while edge <= last:
        edge += Fraction(str(by.seconds))
        for arm in arms:
            row.append(("@" + arm, 0, (now,), done[now]))
            while done[arm] < len(items[arm]) and when[arm][done[arm]] < edge:
                row.append(items[arm][done[arm]])
                done[arm] += 1
            now = arm
    return [*row, ("end", 0, (now,), done[now])]


def by_time(arms, by, marks, example, specs):
    order = []
    for k, arm in enumerate(arms):
        order += [(t, k, cell) for t, cell in zip(seconds(arm, example, specs), cells(arm, example, ()), strict=False)]
    row, now = [], None
    for _, k, cell in sorted(order, key=lambda entry: entry[:2]):
        if marks and arms[k] != now:
            row.append(("@" + arms[k], 0, (arms[k],), cell[3]))
        now = arms[k]
        row.append(cell)
    return [*row, ("end", 0, arms, [len(example[arm]) for arm in arms])]


def seconds(arm, example, specs):
    """When each item begins: list of fractions of a second."""
    if specs[arm].rate is None:
        return [Fraction(int(onset), TICKS) for onset in example[arm].onsets]
    return [Fraction(item) / Fraction(specs[arm].rate) for item in range(len(example[arm]))]


def place(layout, turns, specs, predict, known, vocabs):
    """Like `Layout.place`: tokens int64[K, S], role int8[K, S], {stream: (row, steps, vectors)}."""
    tokens, roles, dense, step = [], [], {}, 0
    for number, example in enumerate(turns):
        prompt = known if number == len(turns) - 1 else {}
        for block in layout.blocks:
            for column in columns(block, example, specs):
                token, role = [vocab.offset("pad") for vocab in vocabs.values()], [ABSENT] * len(vocabs)
                for row, (name, symbol, owners, items) in column.items():
                    k = list(vocabs).index(row)
                    token[k] = vocabs[row].offset(name) + symbol
                    items = items if isinstance(items, list) else [items] * len(owners)
                    asked = [o in predict and i >= prompt.get(o, 0) for o, i in zip(owners, items, strict=True)]
                    role[k] = PREDICT if any(asked) else GIVEN
                    if name in example and owners and example[name].values is not None:
                        at = dense.setdefault(name, (k, [], []))
                        at[1].append(step)
                        at[2].append(example[name].values[items[0]])
                tokens.append(token)
                roles.append(role)
                step += 1
    shape = (-1, len(vocabs))
    return np.array(tokens, int).reshape(shape).T, np.array(roles, int).reshape(shape).T, dense
