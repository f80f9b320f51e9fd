"""Reads a notification with Python's email package and prints what it finds."""
import email, email.policy, json, sys

m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
parts = list(m.iter_parts())
defects = [repr(d) for p in m.walk() for d in p.defects]
for p in m.walk():
    defects += [f"{n}: {d!r}" for n, v in p.items() for d in getattr(v, "defects", [])]
status = [dict(g.items()) for g in parts[1].get_payload()] if parts[1].get_content_type() == "message/delivery-status" else []
json.dump({
    "to": [a.addr_spec for a in m["To"].addresses],
    "report_type": m.get_param("report-type"),
    "kinds": [p.get_content_type() for p in parts],
    "text": parts[0].get_content(),
    "status": status,
    "returned": parts[2].get_content() if parts[2].get_content_maintype() == "text" else "",
    "defects": defects,
}, sys.stdout)
