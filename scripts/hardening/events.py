"""Item 21: events of jobs for any client and proxy, and links that lead somewhere behind one."""

import re

from .seen import item
from .server import Server


@item(21, "Events pass proxies and end, links keep a prefix")
def events(program, quick, seen):
    with Server(program, admin=True) as server:
        server.create_lab_model()
        created = server.start_job()
        job = created.json()
        server.job_ended(job["id"])
        path = f"/jobs/{job['id']}/events"
        ended = server.ask_admin("GET", path)
        buffering = ended.field("x-accel-buffering")
        seen.note(f"X-Accel-Buffering: {buffering}", buffering == "no")
        number = re.search(r"^id: ?(.+)$", ended.text, re.M)
        seen.note(f"id: {number.group(1).strip() if number else None}", bool(number))
        again = server.ask_admin("GET", path, fields={"last-event-id": number.group(1).strip() if number else "1"})
        seen.note(f"with the last id of an ended job: {again.status}", again.status == 204)
        location = created.field("location") or ""
        seen.note(f"Location: {location}", bool(location) and not location.startswith("/"))
        version = server.job_ended(job["id"]).get("version")
        detail = server.ask_admin("GET", f"/models/steel-lab42/versions/{version}").text
        plots = re.findall(r'"([^"]*plots[^"]*\.svg)"', detail)
        seen.note(f"link to a plot: {plots[0] if plots else None}", bool(plots) and not plots[0].startswith("/"))
