"""The medians as an SVG: one panel of bars per scenario, each on its own scale."""

from html import escape

COLOURS = {"ours": "#1b7f5c", "nginx": "#6f8fb8", "haproxy": "#b8896f", "caddy": "#a58bb5", "relay": "#9a9a9a"}
PANELS = ("us of CPU per request", "us of CPU per connection", "us of CPU per event", "KiB (PSS) per idle connection")
WIDTH, BAR, GAP, COLUMNS = 330, 20, 8, 3
TEXT = 'font-family="system-ui, sans-serif" fill="#333"'


def plot(data):
    """The whole picture; scenarios that compare us with ourselves are left out."""
    entries = [entry for entry in data["scenarios"].values() if entry["unit"] in PANELS and "nginx" in entry["medians"]]
    height = 62 + max((len(entry["medians"]) for entry in entries), default=1) * (BAR + GAP)
    rows = -(-len(entries) // COLUMNS)
    parts = [panel(entry, 20 + index % COLUMNS * WIDTH, 56 + index // COLUMNS * height)
             for index, entry in enumerate(entries)]
    shape = data["machine"]
    versions = ", ".join(f"{name} {data['versions'][name].split(' ')[0]}" for name in ("nginx", "haproxy", "caddy")
                         if name in data["versions"])
    heading = f"Cost per request and per idle connection (shorter is better), {data['date'][:10]}"
    below = f"{versions}; {shape['cpu']}, {shape['cores']} cores; two worker threads each; medians of {data['rounds']} rounds"
    size = f'width="{COLUMNS * WIDTH + 20}" height="{56 + rows * height}"'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {COLUMNS * WIDTH + 20} {56 + rows * height}">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="20" y="24" font-size="16" font-weight="600" {TEXT}>{escape(heading)}</text>',
        f'<text x="20" y="42" font-size="11" {TEXT}>{escape(below)}</text>', *parts, "</svg>", ""])


def panel(entry, x, y):
    most = max(values[entry["figure"]] for values in entry["medians"].values())
    parts = [f'<text x="{x}" y="{y + 18}" font-size="13" font-weight="600" {TEXT}>{escape(entry["name"])}</text>',
             f'<text x="{x}" y="{y + 33}" font-size="10" {TEXT}>{escape(entry["unit"])}</text>']
    for index, (label, values) in enumerate(entry["medians"].items()):
        top, value = y + 42 + index * (BAR + GAP), values[entry["figure"]]
        length = max(1, value / most * (WIDTH - 130))
        parts.append(
            f'<text x="{x}" y="{top + 14}" font-size="11" {TEXT}>{escape(label)}</text>'
            f'<rect x="{x + 60}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{COLOURS.get(label, "#9a9a9a")}"/>'
            f'<text x="{x + 66 + length:.1f}" y="{top + 14}" font-size="11" {TEXT}>{value:,.1f}</text>')
    return "\n".join(parts)
