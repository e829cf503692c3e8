#!/usr/bin/env python3
"""Draws docs/images/rooms.svg, the rooms of src/rooms.txt and which uses which. scripts/check_docs.py holds the two equal.

The rooms lie one above the other, base at the bottom. Each has a row and a column, which meet where its name stands again;
a dot in a row stands in the column of a room that the row's room uses.

usage: rooms_drawing.py
"""

from pathlib import Path

ROW, COLUMN, LEFT, NAMES = 26, 26, 12, 110  # pixels
TEXT = "#222"


def read_rooms(table):
    """The rooms from the ground up, each with the list of those that it uses."""
    rows = (line.split(":") for line in table.splitlines() if line and not line.startswith("#"))
    return {room: uses.split() for room, uses in rows}


def draw(table):
    """The drawing, as the text of an SVG file, of a table as src/rooms.txt has it."""
    rooms = read_rooms(table)
    names = list(rooms)
    count = len(names)
    width = LEFT + NAMES + count * COLUMN + 60
    height = 40 + count * ROW + 8

    def top(index):  # of the row of room `index`
        return 40 + (count - 1 - index) * ROW

    def middle(index):  # of the column of room `index`
        return LEFT + NAMES + index * COLUMN + COLUMN // 2

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="20" fill="{TEXT}">A room uses those in whose columns its row has a dot.</text>',
    ]
    for index, room in enumerate(names):
        y = top(index)
        lines.append(f'<rect x="{LEFT}" y="{y + 1}" width="{NAMES - 6}" height="{ROW - 2}" rx="3" fill="#dfe8f3"/>')
        lines.append(f'<text x="{LEFT + 8}" y="{y + 18}" fill="{TEXT}">{room}</text>')
        lines.append(f'<path d="M{LEFT + NAMES} {y + ROW // 2}H{middle(index)}V{40 + count * ROW}" stroke="#ddd" fill="none"/>')
    for index, room in enumerate(names):
        y = top(index) + ROW // 2
        lines.append(
            f'<text x="{middle(index) + 5}" y="{y + 4}" font-size="11" fill="#666" stroke="white" stroke-width="4" '
            f'paint-order="stroke">{room}</text>'
        )
        for used in rooms[room]:
            lines.append(f'<circle cx="{middle(names.index(used))}" cy="{y}" r="5" fill="#4c78a8"><title>{room} uses {used}</title></circle>')
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def main():
    root = Path(__file__).resolve().parent.parent
    table = (root / "src/rooms.txt").read_text(encoding="utf-8")
    (root / "docs/images/rooms.svg").write_text(draw(table), encoding="utf-8")


if __name__ == "__main__":
    main()
