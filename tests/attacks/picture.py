"""The networks as they were found, as an SVG: a row for each service, a lane for each network, a dot where one is on the other.

Colours come from the page's style, by class; `wrong` is what is not as it should be.
"""

from html import escape

from found import AUTHORITY, MEMBERS, Found, Network, Service

ROW, LANE, LEFT, BOX = 46, 34, 150, 126
ASPECTS = {"internal": "internal", "way_out": "a way out", "host_address": "host address", "ipv6": "IPv6"}


def text(x: float, y: float, words: str, kind: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}"{more}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" class="{kind}"/>'


def fault(wrong: bool) -> str:
    return " wrong" if wrong else ""


def lane(network: Network, x: float, rows: dict[str, float], ends: tuple[float, float | None, float]) -> list[str]:
    """Draw a network: its name, the line along its members, and to the port above or the world below where it leads there."""
    top, port, bottom = ends
    broken = bool({"missing", "unknown"} & network.wrong.keys())
    kind = "outer" if not network.internal else "inner"
    turned = f' transform="rotate(-60 {x + 4:g} {top - 24:g})"'
    drawn = [text(x + 4, top - 24, network.name, f"name{fault(bool(network.wrong))}", turned)]
    expected = [each for each in (MEMBERS | AUTHORITY).get(network.name, ()) if each in network.wrong or "missing" in network.wrong]
    levels = [rows[each] for each in (*network.members, *expected) if each in rows]
    levels += [port] if network.name == "edge" and port is not None else []
    levels += [bottom] if network.way_out else []
    if levels:
        drawn.append(line(x, min(levels), x, max(levels), f"{kind}{fault(broken)}{' missing' if 'missing' in network.wrong else ''}"))
    for each in (*network.members, *expected):
        if each in rows:
            absent = " absent" if each not in network.members else ""
            drawn.append(f'<circle cx="{x:g}" cy="{rows[each]:g}" r="6" class="{kind}{fault(broken or each in network.wrong)}{absent}"/>')
    if network.way_out:
        head = f"M{x - 5:g} {bottom - 8:g}L{x:g} {bottom:g}L{x + 5:g} {bottom - 8:g}"
        drawn.append(f'<path d="{head}" class="{kind}{fault(broken or "way_out" in network.wrong)}"/>')
    return drawn


def box(service: Service, y: float, reach: float) -> list[str]:
    """Draw a service: its box, and the line to the furthest of its networks."""
    wrong = fault(bool(service.wrong))
    unwell = fault(bool({"state", "missing", "unknown"} & service.wrong.keys()))
    return [
        line(BOX, y, reach, y, "stub"),
        f'<rect x="1" y="{y - 17:g}" width="{BOX - 1}" height="34" rx="6" class="box{wrong}"/>',
        text(12, y - 1, service.name, "service"),
        text(12, y + 12, service.state, f"state{unwell}"),
    ]


def picture(found: Found) -> str:
    """Draw what was found."""
    lanes = {network.name: LEFT + LANE * number for number, network in enumerate(found.networks)}
    top = 92.0
    strangers = sorted({each for network in found.networks for each in network.members} - {one.name for one in found.services})
    everyone = [*found.services, *(Service(name, "not of this stack", wrong={"unknown": name}) for name in strangers)]
    rows = {one.name: top + ROW * (number + 1) for number, one in enumerate(everyone)}
    bottom = max(rows.values()) + ROW
    width = max(LEFT + LANE * len(lanes) + 8, 396)
    published = [(one, place) for one in found.services for place in one.ports]
    drawn: list[str] = []
    for name, y in rows.items():
        on = [lanes[network.name] for network in found.networks if name in network.members]
        drawn += box(next(one for one in everyone if one.name == name), y, max(on, default=BOX))
    for network in found.networks:
        drawn += lane(network, lanes[network.name], rows, (top, top if published else None, bottom))

    drawn.append(text(1, top + 4, "host", "place"))
    for number, (one, place) in enumerate(published or [(None, "no port is published")]):
        drawn.append(text(36, top + 4 - 14 * number, place, f"port{fault(bool(one and place in one.wrong))}"))
    drawn += [text(1, bottom + 4, "the world outside", "place"), line(1, bottom + 22, width - 1, bottom + 22, "rule")]
    for number, (aspect, title) in enumerate(ASPECTS.items()):
        y = bottom + 44 + 22 * number
        drawn.append(text(1, y, title, "place"))
        for network in found.networks:
            if "missing" not in network.wrong:
                wrong = fault(aspect in network.wrong or "unknown" in network.wrong)
                drawn.append(
                    text(lanes[network.name], y, "yes" if getattr(network, aspect) else "no", f"aspect{wrong}", ' text-anchor="middle"')
                )
    height = bottom + 44 + 22 * len(ASPECTS) - 10
    told = "; ".join(f"{network.name}: {', '.join(network.members) or 'nobody'}" for network in found.networks)
    title = f"Networks and who is on them: {told}. " + (". ".join(found.deviations) or "All as it should be") + "."
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" class="networks">'
    return "\n".join([head, f"<title>{escape(title)}</title>", *drawn, "</svg>"])
