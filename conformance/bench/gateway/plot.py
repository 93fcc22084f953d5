"""The figures as an SVG: for each case a bar a side, CPU a request, with the ratio to haproxy beside it."""

from xml.sax.saxutils import escape

COLOURS = {"direct": "#9aa5b1", "nginx": "#4c9f70", "haproxy": "#3f6fb5"}
OWN = ["#c2452d", "#e08e45", "#8e4585"]
WIDTH, LEFT, ROW, GAP = 900, 250, 16, 26


def colour(side, sides):
    own = [name for name in sides if name not in COLOURS]
    return COLOURS.get(side) or OWN[own.index(side) % len(OWN)]


def svg(results, title):
    """`results`: case title → side → figure."""
    lines, y = [], 50
    for case, figures in results.items():
        most = max(figure.cpu for figure in figures.values()) or 1
        lines.append(f'<text x="10" y="{y + 12}" class="case">{escape(case)}</text>')
        for side, figure in figures.items():
            if side == "direct":
                continue
            y += ROW
            length = (WIDTH - LEFT - 220) * figure.cpu / most
            rival = figures.get("haproxy")
            ratio = f" · {figure.cpu / rival.cpu:.2f} × haproxy" if rival and side != "haproxy" and rival.cpu else ""
            lines.append(
                f'<text x="{LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(side)}</text>'
                f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{ROW - 4}" fill="{colour(side, list(figures))}"/>'
                f'<text x="{LEFT + length + 6:.1f}" y="{y + 11}">{figure.cpu:.1f} µs{ratio}</text>')
        y += GAP + ROW // 2
    style = "text{font:12px sans-serif;fill:#222}.case{font-weight:bold}.title{font-size:16px;font-weight:bold}"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10}"><style>{style}</style>'
            f'<rect width="100%" height="100%" fill="white"/><text x="10" y="28" class="title">{escape(title)}</text>'
            + "".join(lines) + "</svg>\n")
