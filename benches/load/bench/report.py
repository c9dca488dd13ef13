"""Medians, ratios with their spread, and tables."""

import datetime
from statistics import median

from .tools import machine

HEADINGS = {
    "requests_per_s": "requests/s", "cpu_us": "CPU us", "user_us": "user us", "system_us": "system us", "p50_us": "p50 us",
    "p99_us": "p99 us", "pss_mib": "PSS MiB", "kib": "KiB/connection", "before_mib": "fresh MiB", "after_mib": "held MiB",
    "ms": "median ms", "fastest_ms": "fastest ms", "slowest_ms": "slowest ms",
}


class Results:
    """All results of one run of the bench."""

    def __init__(self, options, found):
        self.data = {
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": machine(),
            "versions": {name: str(tool) for name, tool in found.items() if tool.version},
            "rounds": options.rounds, "seconds": options.seconds, "scenarios": {},
        }
        show_heading(self.data)

    def add(self, scenario, rounds, session):
        """Keeps the rounds of one scenario and summarizes them."""
        labels = list(dict.fromkeys(label for one in rounds for label in one))
        subject = next(iter(scenario.entrants(session)))
        entry = {
            "name": scenario.name, "title": scenario.title, "unit": scenario.unit, "figure": scenario.figure,
            "bar": scenario.bar, "columns": scenario.columns, "subject": subject, "rounds": rounds,
            "medians": {label: medians(rounds, label, scenario.columns) for label in labels},
        }
        entry["ratio"] = ratio(entry, scenario.best_of)
        entry["held"] = is_held(entry)
        self.data["scenarios"][scenario.name] = entry
        return entry


def medians(rounds, label, columns):
    records = [one[label] for one in rounds if label in one]
    return {column: median(values) if (values := known(records, column)) else None for column in columns}


def known(records, column):
    return [record[column] for record in records if record.get(column) is not None]


def ratio(entry, best_of):
    """The subject's figure against the best of some others: the median of the ratios within each round, and their range."""
    figure, subject = entry["figure"], entry["subject"]
    others = [label for label in best_of if label in entry["medians"]]
    if subject not in entry["medians"] or not others:
        return None
    best = min(others, key=lambda label: entry["medians"][label][figure])
    ratios = [one[subject][figure] / one[best][figure] for one in entry["rounds"] if subject in one and best in one]
    return {"against": best, "median": median(ratios), "lowest": min(ratios), "highest": max(ratios)} if ratios else None


def is_held(entry):
    """True if the bar holds for the time alone, else for the ratio. None without a bar or a figure."""
    if entry["bar"] is None:
        return None
    if entry["figure"] == "ms":
        ours = entry["medians"].get(entry["subject"])
        return ours["ms"] <= entry["bar"] if ours else None
    return entry["ratio"]["median"] <= entry["bar"] if entry["ratio"] else None


def show_heading(data):
    shape = data["machine"]
    print(f"\n{data['date']}, {shape['cpu']}, {shape['cores']} cores, {shape['memory_gib']} GiB, Linux {shape['kernel']}")
    print(f"{data['rounds']} rounds of {data['seconds']:g} s; two worker threads for each peer")
    for name, version in data["versions"].items():
        print(f"  {name:<9} {version}")


def show(entry):
    """The table of one scenario."""
    rows = [[""] + [HEADINGS[column] for column in entry["columns"]]]
    for label, values in entry["medians"].items():
        rows.append([label] + [number(values[column]) for column in entry["columns"]])
    print("\n" + table(rows))
    print(verdict(entry), flush=True)


def verdict(entry):
    text = []
    if found := entry["ratio"]:
        text.append(f"{entry['subject']} / {found['against']}: {found['median']:.2f} ({spread(found)})")
    if entry["bar"] is not None:
        bar = f"{entry['bar']:g} ms" if entry["figure"] == "ms" else f"{entry['bar']:.2f}"
        text.append(f"bar <= {bar}: {HELD[entry['held']]}")
    return ", ".join(text) or "no ratio"


HELD = {True: "held", False: "NOT held", None: "not measured"}


def show_bars(data):
    """The table of all scenarios."""
    rows = [["", "ours", "unit", "best other", "ratio", "spread", "bar", ""]]
    for entry in data["scenarios"].values():
        figure, found = entry["figure"], entry["ratio"]
        ours = entry["medians"].get(entry["subject"], {}).get(figure)
        other = f"{found['against']} {number(entry['medians'][found['against']][figure])}" if found else "-"
        rows.append([entry["name"], number(ours), entry["unit"], other, f"{found['median']:.2f}" if found else "-",
                     spread(found) if found else "-", "-" if entry["bar"] is None else f"{entry['bar']:g}",
                     HELD[entry["held"]] if entry["bar"] is not None else ""])
    print("\n" + table(rows, left={0, 2, 3, 7}), flush=True)


def spread(found):
    return f"{found['lowest']:.2f}..{found['highest']:.2f}"


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def table(rows, left=frozenset({0})):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(
        cell.ljust(width) if column in left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)
