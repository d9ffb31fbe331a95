#!/usr/bin/python3
"""Writes dashboards/*.json, all in one visual language: deploy/grafana/dashboards.py. With --check it says which of
them are not what it would write (`make lint`).

In an expression {@} stands for the variables of the dashboard: {@} alone, or {@,class="4.7.x"}."""

import json
import pathlib
import sys

DIRECTORY = pathlib.Path(__file__).resolve().parent / "dashboards"
CHOSEN = 'job=~"$job", role=~"$role", instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
GOOD, UNSURE, BAD, NEUTRAL, WORST = "green", "orange", "red", "blue", "dark-red"
# The same thing has the same colour wherever it is.
COLOURS = {"accepted": NEUTRAL, "delivered": GOOD, "deferred": UNSURE, "bounced": BAD, "expired": WORST,
           "clean": GOOD, "infected": BAD, "unwanted": UNSURE, "suspicious": "yellow", "unscannable": "purple",
           "none": "text", "ok": GOOD, "failed": BAD, "unsure": UNSURE, "ready": GOOD,
           "mail.inbound": NEUTRAL, "mail.ready": GOOD}
RECIPIENTS = "suffix: rcpt/s"
STATES = [{"type": "value", "options": {"0": {"text": "ready", "color": GOOD}, "1": {"text": "degraded", "color": UNSURE},
                                        "2": {"text": "failed", "color": BAD}}}]
UP = [{"type": "value", "options": {"0": {"text": "down", "color": BAD}, "1": {"text": "up", "color": GOOD}}}]


def steps(colours):
    """Thresholds of "green 60:orange 600:red": a colour, and others from a value on."""
    first, *others = colours.split()
    return {"mode": "absolute", "steps": [{"color": first, "value": None}] + [
        {"color": colour, "value": float(value)} for value, colour in (other.split(":") for other in others)]}


def panel(kind, title, about, targets, width, height, defaults, overrides=(), **options):
    return {"type": kind, "title": title, "description": about, "datasource": SOURCE, "width": width, "height": height,
            "targets": [{"datasource": SOURCE, "refId": chr(ord("A") + i), "expr": expr.replace("{@", "{" + CHOSEN),
                         "legendFormat": legend, "range": not instant, "instant": instant,
                         **({"format": "table"} if kind == "table" else {})}
                        for i, (expr, legend, instant) in enumerate(targets)],
            "fieldConfig": {"defaults": defaults, "overrides": list(overrides)}, "options": options}


def number(title, expr, unit, colours, about, width=3, decimals=None):
    """A big number with its last hours behind it. Thresholds colour it."""
    return panel("stat", title, about, [(expr, title, False)], width, 4, {
        "unit": unit, "thresholds": steps(colours), "color": {"mode": "thresholds"}, "noValue": "–",
        **({} if decimals is None else {"decimals": decimals})},
        reduceOptions={"calcs": ["lastNotNull"], "fields": "", "values": False}, colorMode="value", graphMode="area",
        textMode="value", justifyMode="center", orientation="auto", wideLayout=True, showPercentChange=False,
        percentChangeColorMode="standard")


def colour_of(name):
    return {"matcher": {"id": "byName", "options": name},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": COLOURS[name]}}]}


def graph(title, unit, about, *targets, width=8, stack=False, limit=None, names=()):
    """Lines with a legend of last and largest value; `stack` fills and sums them. `limit` ("green 600:red") draws a
    line where it begins to hurt. `names` are legends that have a colour of their own."""
    custom = {"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1 if stack else 2,
              "fillOpacity": 40 if stack else 8, "showPoints": "never", "spanNulls": False,
              "stacking": {"mode": "normal" if stack else "none", "group": "A"},
              "thresholdsStyle": {"mode": "dashed" if limit else "off"}}
    return panel("timeseries", title, about, [(expr, legend, False) for expr, legend in targets], width, 8, {
        "unit": unit, "min": 0, "custom": custom, "thresholds": steps(limit or GOOD), "color": {"mode": "palette-classic"}},
        map(colour_of, names),
        legend={"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": True},
        tooltip={"mode": "multi", "sort": "desc"})


def states(title, expr, legend, about, mappings, width=8):
    """What was in which state, and when."""
    return panel("state-timeline", title, about, [(expr, legend, False)], width, 8, {
        "mappings": mappings, "color": {"mode": "thresholds"}, "thresholds": steps("text"),
        "custom": {"fillOpacity": 80, "lineWidth": 0}}, mergeValues=True, showValue="never", rowHeight=0.8, alignValue="left",
        legend={"displayMode": "list", "placement": "bottom", "calcs": [], "showLegend": True},
        tooltip={"mode": "single", "sort": "none"})


def table(title, about, columns, width=8, hide=(), sort=None, mappings=()):
    """`columns`: (name, unit, expression); rows are joined by their labels."""
    one = len(columns) == 1
    names = {"Value" if one else f"Value #{chr(ord('A') + i)}": name for i, (name, _, _) in enumerate(columns)}
    made = panel("table", title, about, [(expr, "", True) for _, _, expr in columns], width, 8,
                 {"custom": {"align": "auto", "filterable": False, "inspect": False}, "thresholds": steps("text"), "mappings": list(mappings)},
                 [{"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": unit}]}
                  for name, unit, _ in columns], showHeader=True, frameIndex=0, cellHeight="sm",
                 sortBy=[{"displayName": sort, "desc": True}] if sort else [])
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {name: True for name in ("Time", *hide)}, "renameByName": names}}]
    return made


def quantiles(metric, by="", more=""):
    """Targets of the 50th and 95th percentile of a histogram."""
    return [(f"histogram_quantile({q}, sum by (le{', ' + by if by else ''}) "
             f"(rate({metric}_bucket{{@{more}}}[$__rate_interval])))", f"{'{{' + by + '}} ' if by else ''}{name}")
            for q, name in ((0.5, "median"), (0.95, "19 of 20"))]


def rate(metric, by="", more=""):
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{@{more}}}[$__rate_interval]))"


def grown(metric, by="", window="1h", more=""):
    return f"sum{f' by ({by})' if by else ''} (increase({metric}{{@{more}}}[{window}]))"


def attempts(outcome, by=""):
    return rate(f"shout_sender_{outcome}_total", by)


OUTCOMES = ("delivered", "deferred", "bounced", "expired")
# An outcome that has not come yet has no series: it counts as 0.
TRIED = " + ".join(f"({attempts(outcome)} or vector(0))" for outcome in OUTCOMES)
PART_STATE = "2 * (1 - shout_ready{@}) + on (job, instance, part) group_left () shout_degraded{@}"
BACKLOG = 'sum by (topic) (job_topic:shout_queue_backlog:total{job=~"$job"})'
AGE = "max by (topic) (shout_queue_backlog_age_seconds{@})"


def share(outcome):
    return f"({attempts(outcome)} or vector(0)) / ({TRIED})"


NOT_SCANNED = number("Not scanned", 'sum(job_topic:shout_queue_backlog:total{job=~"$job", topic="mail.inbound"})', "short",
                     "green 1000:orange 10000:red", "Messages that wait for a scan")
NOT_TRIED = number("Not tried", 'sum(job_topic:shout_queue_backlog:total{job=~"$job", topic="mail.ready"})', "short",
                   "green 1000:orange 10000:red", "Messages that wait for their first attempt")
OLDEST = number("Oldest unfinished", "max(shout_queue_backlog_age_seconds{@})", "s", "green 60:orange 600:red",
                "How long the oldest message has waited for its scan, or its first attempt")
WAITING = number("Waiting", "sum(shout_sender_waiting{@})", "short", "blue", "Messages that were deferred, or are held, a row a site")
HELD = number("Held", "sum(shout_sender_held{@})", "short", "green 1:orange", "Messages that wait for an operator")
DELIVERED = number("Delivered", attempts("delivered"), RECIPIENTS, "green", "Recipients delivered to, a second", decimals=1)
STATE = states("State of every part", PART_STATE, "{{instance}} {{part}}",
               "As /readyz has it. A part that has failed takes its process out of the load balancer.", STATES)
TABLE_OF_ALERTS = table("Alerts", "What fires now; docs/runbook.md has a section for each", [
    ("Fires", "short", 'ALERTS{alertname=~"Shout.*", alertstate="firing", job=~"$job|"}')],
    hide=("__name__", "alertstate", "Fires", "Value", "role"))


def overview():
    return "Shout: overview", [
        ("Now", [
            number("Alerts", 'count(ALERTS{alertname=~"Shout.*", alertstate="firing", severity!="info"}) or vector(0)', "short",
                   "green 1:red", "How many alerts fire, but for those that are only for a daily look"),
            number("Processes down", "count(up{@} == 0) or vector(0)", "short", "green 1:red", "Processes that do not answer"),
            number("Accepted", rate("shout_ingress_messages_total"), "mps", "blue", "Messages answered with 250, a second", decimals=1),
            DELIVERED,
            number("Share deferred", share("deferred"), "percentunit", "green 0.2:orange 0.5:red",
                   "Of all recipients tried: how many have to wait"),
            OLDEST, WAITING, HELD]),
        ("Flow of mail", [
            graph("Accepted", "mps", "Messages answered with 250", (rate("shout_ingress_messages_total"), "accepted"),
                  names=["accepted"]),
            graph("What became of it", RECIPIENTS, "Recipients, by what came of an attempt",
                  *((attempts(outcome), outcome) for outcome in OUTCOMES), stack=True, names=OUTCOMES),
            TABLE_OF_ALERTS]),
        ("Customers", [
            graph("Sessions", "short", "Open SMTP sessions; strangers have not logged in yet",
                  ("sum(shout_ingress_sessions{@})", "sessions"), ("sum(shout_ingress_strangers{@})", "strangers")),
            graph("Refusals", "cps", "What clients were refused, and why", (rate("shout_ingress_refused_total", "reason") + " > 0",
                                                                          "{{reason}}"), stack=True),
            graph("Time to the 250", "s", "From the final dot to the 250", *quantiles("shout_ingress_accept_seconds"),
                  limit="green 5:red")]),
        ("Scans", [
            graph("Scans", "mps", "Messages by verdict", (rate("shout_scanner_scans_total", "verdict"), "{{verdict}}"), stack=True,
                  names=["clean", "infected", "unwanted", "suspicious", "unscannable", "none"]),
            graph("Time of a scan", "s", "From taking a message to its verdict", *quantiles("shout_scanner_scan_seconds")),
            states("clamd", "shout_scanner_clamd_up{@}", "{{instance}} {{host}}", "Which clamd is in use", UP)]),
        ("What holds it up", [
            graph("Unfinished", "short", "Records that wait for a scan (mail.inbound) or their first attempt (mail.ready)",
                  (BACKLOG, "{{topic}}"), names=["mail.inbound", "mail.ready"]),
            graph("Age of the oldest", "s", "How long the oldest of them has waited", (AGE, "{{topic}}"), limit="green 600:red",
                  names=["mail.inbound", "mail.ready"]),
            STATE])]


def delivery():
    by_provider = "topk(10, {} > 0)"
    return "Shout: delivery", [
        ("Now", [
            DELIVERED,
            number("Share delivered", share("delivered"), "percentunit", "red 0.5:orange 0.8:green", "Of all recipients tried"),
            number("Share deferred", share("deferred"), "percentunit", "green 0.2:orange 0.5:red", "Of all recipients tried"),
            number("Share bounced", share("bounced"), "percentunit", "green 0.05:orange 0.3:red", "Of all recipients tried"),
            number("First attempt, median", quantiles("shout_sender_delivery_seconds", more=',attempt="first"')[0][0], "s",
                   "green 60:orange 300:red", "From our 250 to the remote's, when the first attempt gets it"),
            number("In flight", "sum(shout_sender_in_flight{@})", "short", "blue", "Attempts under way"),
            number("Over TLS", 'sum(rate(shout_sender_tls_total{@,result=~"TLS.*"}[$__rate_interval])) / '
                   'sum(rate(shout_sender_tls_total{@,result!="failed"}[$__rate_interval]))', "percentunit",
                   "orange 0.9:green", "Of the hosts that were ready for mail"),
            number("Faults of our own", f"{grown('shout_sender_local_faults_total')} or vector(0)", "short", "green 1:red",
                   "Within an hour: ports, descriptors, routes, the resolver", decimals=0)]),
        ("Outcomes", [
            graph("By outcome", RECIPIENTS, "Recipients, by what came of an attempt",
                  *((attempts(outcome), outcome) for outcome in OUTCOMES), stack=True, names=OUTCOMES),
            graph("Deferred, by why", RECIPIENTS, "Class of the reply: 4.7.x is policy (our reputation), 4.2.x the mailbox; dns, "
                  "connect, tls and lost are connections", (attempts("deferred", "class"), "{{class}}"), stack=True),
            graph("Bounced, by why", RECIPIENTS, "Class of the reply: 5.1.x is the address, 5.7.x policy",
                  (attempts("bounced", "class"), "{{class}}"), stack=True),
            graph("What refusals mean", "cps", "By the response rules; other: none knows the reply",
                  (rate("shout_sender_replies_total", "class"), "{{class}}"), stack=True),
            graph("Egress IPs", "short", "Known to each sender; and those that it cannot use",
                  ("max by (instance) (shout_sender_egress_ips{@})", "{{instance}} known"),
                  ("max by (instance) (shout_sender_egress_unusable{@}) > 0", "{{instance}} unusable")),
            graph("Lanes that rest", "short", "An egress IP and a site: the site refused the IP",
                  ("max by (instance) (shout_sender_lanes_resting{@})", "{{instance}}")),
            graph("Questions about lanes", "cps", "To Redis: about one a message at most; those that failed",
                  (rate("shout_sender_lane_calls_total"), "questions"), (rate("shout_sender_lane_call_failures_total"), "failed")),
            graph("Whom refusals blame", "cps", "egress-ip, netblock and ours: this relay; such mail waits",
                  (rate("shout_sender_replies_total", "scope"), "{{scope}}"), stack=True)]),
        ("Providers", [
            graph("Delivered", RECIPIENTS, "The ten largest", (by_provider.format(attempts("delivered", "provider")), "{{provider}}"),
                  stack=True),
            graph("Deferred", RECIPIENTS, "The ten with the most",
                  (by_provider.format(attempts("deferred", "provider")), "{{provider}}"), stack=True),
            table("The last hour", "Recipients by provider", [
                (outcome.capitalize(), "short", grown(f"shout_sender_{outcome}_total", "provider")) for outcome in OUTCOMES],
                sort="Delivered"),
            graph("Refused by policy", RECIPIENTS, "4.7.x and 5.7.x: somebody doubts this relay, or the message",
                  (rate("shout_sender_deferred_total", "provider", ',class="4.7.x"') + " > 0", "{{provider}} later"),
                  (rate("shout_sender_bounced_total", "provider", ',class="5.7.x"') + " > 0", "{{provider}} never"), width=24)]),
        ("Time", [
            graph("From our 250 to theirs", "s", "Each recipient, by the attempt that got it",
                  *quantiles("shout_sender_delivery_seconds", "attempt"), limit="green 300:red"),
            graph("An attempt", "s", "From MAIL to the last reply", *quantiles("shout_sender_attempt_seconds")),
            graph("A name look-up", "s", "Answers of the cache among them", *quantiles("shout_sender_dns_seconds"))]),
        ("Hosts", [
            graph("Hosts tried", "cps", "Ready for mail, or failed before that", (rate("shout_sender_hosts_total", "result"), "{{result}}"),
                  stack=True, names=["ready", "failed"]),
            graph("TLS", "cps", "Hosts ready for mail, by version", (rate("shout_sender_tls_total", "result"), "{{result}}"), stack=True,
                  names=["none", "failed"]),
            graph("Name look-ups", "cps", "By what came of them", (rate("shout_sender_dns_total", "result"), "{{result}}"), stack=True),
            graph("Customers' domains", "cps", "Look-ups by control, by what came of them",
                  (rate("shout_control_dns_total", "result"), "{{result}}"), stack=True),
            graph("A look-up of control", "s", "Answers of the cache among them", *quantiles("shout_control_dns_seconds")),
            graph("Connections", "short", "Open to mail hosts", ("sum by (instance) (shout_sender_connections{@})", "{{instance}}")),
            graph("Doubtful", "short", "Within an hour: messages that went out whole and got no answer; hosts that gave up TLS",
                  (grown("shout_sender_ambiguous_total"), "no answer"), (grown("shout_sender_lost_tls_total"), "TLS lost")),
            graph("Faults of our own", "short", "Within an hour, what this machine kept from going out",
                  (grown("shout_sender_local_faults_total", "fault"), "{{fault}}"))])]


def queue():
    def within(metric, legend, by="topic"):
        return grown(metric, by), legend
    return "Shout: queue", [
        ("Now", [
            NOT_SCANNED, NOT_TRIED, OLDEST, WAITING, HELD,
            number("Unreadable", "sum(shout_queue_bad{@})", "short", "green 1:red", "Records that were set aside: shoutctl queue bad"),
            number("Disk free", "min(shout_disk_free_bytes{@} / shout_disk_size_bytes{@})", "percentunit", "red 0.15:orange 0.3:green",
                   "Of the fullest disk of a state_dir; below queue.min_free mail is refused"),
            number("Next attempt", "max(min(shout_sender_next_due_seconds{@} > 0) - time() or vector(0))", "s", "blue",
                   "Until the next waiting message is due; below 0 it is overdue, or at work")]),
        ("Unfinished", [
            graph("Unfinished", "short", "Records that wait for a scan (mail.inbound) or their first attempt (mail.ready)",
                  (BACKLOG, "{{topic}}"), names=["mail.inbound", "mail.ready"]),
            graph("Age of the oldest", "s", "How long the oldest of them has waited", (AGE, "{{topic}}"), limit="green 600:red",
                  names=["mail.inbound", "mail.ready"]),
            graph("In memory", "short", "Messages in hand of scanners and senders", ("sum(shout_scanner_waiting{@})", "scanner"),
                  ("sum(shout_sender_records{@})", "sender, records"), ("sum(shout_sender_scheduled{@})", "sender, wait for their turn"),
                  ("sum(shout_sender_in_flight{@})", "sender, attempts"))]),
        ("Waiting mail", [
            graph("Waiting", "short", "Rows of deferred and held mail", ("sum by (instance) (shout_sender_waiting{@})", "{{instance}}"),
                  stack=True),
            graph("Held and loaded", "short", "Held for an operator; loaded, as it is due", ("sum(shout_sender_held{@})", "held"),
                  ("sum(shout_sender_loaded{@})", "loaded")),
            graph("Sites", "short", "Sites in memory, those that rest after a failure, those with waiting mail, suspensions",
                  ("sum(shout_sender_sites{@})", "sites"), ("sum(shout_sender_sites_resting{@})", "rest"),
                  ("sum(shout_sender_timers{@})", "with waiting mail"), ("max(shout_sender_suspensions{@})", "suspensions"))]),
        ("What it stands on", [
            graph("Redis", "s", "How long Redis takes to answer", *quantiles("shout_redis_seconds"), limit="green 1:red"),
            graph("Redis refuses", "short", "Commands within an hour, and why", (grown("shout_redis_refused_total", "reason"), "{{reason}}")),
            graph("Not written", "short", "Within an hour: events that are in the log alone, notices of held mail that were not sent",
                  (grown("shout_queue_events_lost_total"), "events"), (grown("shout_held_notices_missed_total"), "notices")),
            graph("Sentinels", "bool_yes_no", "Whether each named a master when it was asked last; nothing without redis.sentinels",
                  ("min by (sentinel) (shout_redis_sentinel_up{@})", "{{sentinel}}"), limit="red 1:green"),
            graph("Another master", "short", "Connections that went to another Redis master within an hour",
                  (grown("shout_redis_master_changes_total"), "connections"), width=16)]),
        ("Trace", [
            graph("Traced", "cps", "Events that control takes for shoutctl trace", (rate("shout_control_trace_events_total"), "events")),
            graph("Behind", "s", "Age of the last event taken, while there are more to take",
                  ("max by (instance) (shout_control_trace_behind_seconds{@})", "{{instance}}"), limit="green 600:red"),
            graph("Not kept", "short", "Within an hour: times that events could not be kept, and were tried again",
                  (grown("shout_control_trace_failures_total"), "failures"))]),
        ("Control", [
            graph("Leader", "short", "The control process that does the work in the background: exactly one",
                  ("sum (shout_control_leader{@})", "leaders"), limit="red 1:green 2:red"),
            graph("Posts to webhooks", "cps", "Of accounts; failed: no answer, or none of 2xx",
                  (rate("shout_control_webhook_posts_total", "result"), "{{result}}")),
            graph("Failing webhooks", "short", "Webhooks whose last post failed", ("sum (shout_control_webhooks_failing{@})", "webhooks"))]),
        ("Embedded queue", [
            graph("Rows", "short", "Rows in the table of waiting and held mail", ("sum by (instance) (shout_queue_rows{@})", "{{instance}}"),
                  width=24)]),
        ("Cluster: records", [
            graph("Lag", "short", "Not finished, of this process's share", ("sum by (instance, topic) (shout_queue_lag{@})", "{{instance}} {{topic}}")),
            graph("In hand", "short", "Being worked on", ("sum by (instance, topic) (shout_queue_in_hand{@})", "{{instance}} {{topic}}")),
            graph("Oldest in hand", "s", "Since when the oldest of them is in the relay",
                  ("max by (instance, topic) (shout_queue_oldest_seconds{@})", "{{instance}} {{topic}}")),
            graph("Commits", "cps", "One a second and process; those that failed", (rate("shout_queue_commits_total", "topic"), "{{topic}}"),
                  (rate("shout_queue_commit_failures_total", "topic"), "{{topic}} failed")),
            graph("Partitions that moved", "short", "Within an hour", within("shout_queue_rebalances_total", "{{topic}}")),
            graph("Records again", "short", "Within an hour: records somebody may have worked on before; finished ones deleted; unreadable ones",
                  within("shout_queue_redelivered_total", "{{topic}} again"), within("shout_queue_trimmed_total", "{{topic}} deleted"),
                  within("shout_queue_bad_total", "{{topic}} unreadable"))]),
        ("Cluster: brokers", [
            graph("Acknowledgement", "s", "How long the brokers take: 19 of 20 records",
                  quantiles("shout_queue_produce_seconds", "topic")[1]),
            graph("Waited for", "short", "Records that wait for an acknowledgement; large ones that wait for others",
                  ("sum by (instance) (shout_queue_producing{@})", "{{instance}}"),
                  ("sum by (instance) (shout_queue_large_waiting{@})", "{{instance}} large")),
            graph("Not acknowledged", "short", "Within an hour; unknown: the record may be durable nevertheless",
                  within("shout_queue_produce_errors_total", "{{topic}}"), within("shout_queue_unknown_total", "{{topic}} unknown"),
                  (grown("shout_queue_producers_replaced_total"), "producers replaced"))]),
        ("Cluster: waiting mail", [
            graph("Partitions", "short", "Of waiting mail, by whose they are; those that are still to be read",
                  ("sum by (instance) (shout_rows_partitions{@})", "{{instance}}"),
                  ("sum by (instance) (shout_rows_rebuild_partitions{@})", "{{instance}} to be read")),
            graph("To be read", "short", "Records of mail.state that are left before partitions are ours",
                  ("sum by (instance) (shout_rows_rebuild_remaining{@})", "{{instance}}")),
            graph("Irregular", "short", "Unreadable rows and tables that cannot be written; the others within an hour",
                  ("sum(shout_rows_bad{@})", "unreadable rows"), ("sum(shout_rows_table_unwritable{@})", "tables not written"),
                  (grown("shout_rows_claims_total"), "claims"), (grown("shout_rows_zombies_total"), "records of a former owner"),
                  (grown("shout_rows_bodiless_total"), "bodies gone"), (grown("shout_rows_bodies_renewed_total"), "bodies renewed"))])]


def node():
    return "Shout: one node", [
        ("Now", [
            number("Not ready", "count(shout_ready{@} == 0) or vector(0)", "short", "green 1:red", "Parts that have failed: /readyz says why"),
            number("Degraded", "sum(shout_degraded{@})", "short", "green 1:orange", "Parts that lack something: /readyz says what"),
            number("Up for", "time() - max(process_start_time_seconds{@})", "s", "orange 3600:green", "Since the process started", decimals=0),
            number("Processor", "sum(rate(process_cpu_seconds_total{@}[$__rate_interval]))", "percentunit", "blue",
                   "100 % is one core", decimals=0),
            number("Memory", "sum(process_resident_memory_bytes{@})", "bytes", "blue", "Resident"),
            number("Open files", "max(process_open_fds{@} / process_max_fds{@})", "percentunit", "green 0.6:orange 0.8:red",
                   "Of those that may be open"),
            number("Disk free", "min(shout_disk_free_bytes{@} / shout_disk_size_bytes{@})", "percentunit", "red 0.15:orange 0.3:green",
                   "Of the disk of state_dir"),
            number("Redis", "min(shout_redis_up{@})", "bool_yes_no", "red 1:green", "Whether all connections are up and it does what it is asked")]),
        ("Process", [
            STATE,
            graph("Processor", "percentunit", "100 % is one core", ("rate(process_cpu_seconds_total{@}[$__rate_interval])", "{{instance}}")),
            graph("Memory", "bytes", "Resident", ("process_resident_memory_bytes{@}", "{{instance}}")),
            graph("Open files", "short", "Each client may need two, each delivery one", ("process_open_fds{@}", "{{instance}}"),
                  ("process_max_fds{@}", "{{instance}} limit")),
            graph("Disk of state_dir", "bytes", "Free room, and the size", ("shout_disk_free_bytes{@}", "{{instance}} free"),
                  ("shout_disk_size_bytes{@}", "{{instance}} size")),
            table("Builds", "Which version runs where", [("Runs", "short", "shout_build_info{@}")], hide=("__name__", "Runs", "Value"))]),
        ("Ingress", [
            graph("Connections", "cps", "Accepted; idle ones closed because others needed their place",
                  (rate("shout_ingress_connections_total"), "accepted"), (rate("shout_ingress_turned_out_total"), "turned out"),
                  names=["accepted"]),
            graph("Logins", "cps", "AUTH exchanges by result (unsure: Redis was away); of people, passwords and codes at the API",
                  (rate("shout_ingress_auth_total", "result"), "{{result}}"), (rate("shout_control_proofs_total", "result"), "people: {{result}}"),
                  stack=True, names=["ok", "failed", "unsure"]),
            graph("TLS handshakes", "cps", "With clients", (rate("shout_ingress_tls_total", "result"), "{{result}}"), stack=True,
                  names=["ok", "failed"]),
            graph("Bytes", "Bps", "Of messages that were accepted", (rate("shout_ingress_bytes_total"), "accepted"), names=["accepted"]),
            graph("Sessions", "short", "Open now; strangers have not logged in yet", ("sum(shout_ingress_sessions{@})", "sessions"),
                  ("sum(shout_ingress_strangers{@})", "strangers")),
            table("Certificates", "How long each is good", [("Good for", "s", "shout_certificate_expiry_timestamp_seconds{@} - time()")],
                  hide=("job", "role"))]),
        ("Scanner and sender", [
            graph("Scans that failed", "cps", "Scans without a verdict, which are made again; clamds refused for their settings; mail unscanned",
                  (rate("shout_scanner_failures_total"), "failures"), ("sum(shout_scanner_clamd_refused{@})", "clamds refused"),
                  ("sum(shout_scanner_disabled{@})", "scanner off")),
            graph("Block lists", "short", "Addresses of ours on DNS block lists; lists that cannot be believed or do not answer",
                  ("max(shout_dnsbl_listed{@})", "listed"), ("max(shout_dnsbl_unknown{@})", "unknown"), limit="green 1:red"),
            graph("Steps of the ladder", "short", "Originators, credentials and accounts that came to a step within an hour (docs/scores.md)",
                  (grown("shout_score_steps_total", "step"), "{{step}}"), stack=True),
            graph("DKIM", "cps", "Signatures put on mail, and messages that should have had one; domains whose key cannot be opened",
                  (rate("shout_dkim_signatures_total"), "signatures"), (rate("shout_dkim_failures_total"), "unsigned"),
                  ("max(shout_dkim_domains{@})", "domains"), ("max(shout_dkim_domains_broken{@})", "broken domains")),
            graph("Age of signatures", "s", "Of each clamd", ("shout_scanner_signature_age_seconds{@}", "{{host}}"), limit="green 172800:red"),
            graph("Clock", "s", "How far this clock is from Redis's; beyond a minute nothing expires",
                  ("shout_sender_clock_apart_seconds{@}", "{{instance}}"), limit="green 60:red")]),
        ("Who asks", [
            graph("API and metrics page", "short", "Connections that were closed early within an hour, and why",
                  (grown("shout_http_closed_total", "reason"), "{{reason}}"), width=12),
            graph("Redis", "s", "How long Redis takes to answer", *quantiles("shout_redis_seconds"), limit="green 1:red", width=12)])]


def variable(name, label, query, many=True, every=".*"):
    chosen = {"includeAll": many, "multi": many, "allValue": every if many else None,
             "current": {"text": "All", "value": "$__all"} if many else {"text": "", "value": ""}}
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name},
            "definition": query, "refresh": 2, "sort": 1, "hide": 0, **chosen}


def variables(one_node):
    return {"list": [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0,
         "current": {"text": "Prometheus", "value": "prometheus"},
         "includeAll": False, "multi": False, "refresh": 1},
        variable("job", "Relay", "label_values(shout_build_info, job)", every="shout.*"),
        variable("role", "Role", 'label_values(shout_build_info{job=~"$job"}, role)'),
        variable("instance", "Process", 'label_values(shout_build_info{job=~"$job", role=~"$role"}, instance)', not one_node)]}


def placed(rows):
    """Panels with ids and places: a row fills its width from the left, and begins a new line where it has to."""
    y, panels = 0, []
    for title, inside in rows:
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        x, y = 0, y + 1
        for one in inside:
            one = dict(one)
            width, height = one.pop("width"), one.pop("height")
            if x + width > WIDTH:
                x, y = 0, y + height
            panels.append({**one, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
            x += width
        y += height
    return [{"id": i, **one} for i, one in enumerate(panels, 1)]


def dashboard(name, title, rows):
    return {"uid": f"shout-{name}", "title": title, "tags": ["shout"], "schemaVersion": 39, "version": 1, "editable": False,
            "graphTooltip": 1, "timezone": "utc", "refresh": "30s", "time": {"from": "now-6h", "to": "now"},
            "annotations": {"list": []}, "templating": variables(name == "node"), "panels": placed(rows),
            "links": [{"type": "dashboards", "title": "Shout", "tags": ["shout"], "asDropdown": False, "includeVars": True,
                       "keepTime": True, "targetBlank": False, "icon": "external link", "tooltip": ""}]}


def main():
    stale = []
    for make in (overview, delivery, queue, node):
        path = DIRECTORY / f"{make.__name__}.json"
        text = json.dumps(dashboard(make.__name__, *make()), indent=1, ensure_ascii=False) + "\n"
        if not path.exists() or path.read_text() != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(text)
    if "--check" in sys.argv and stale:
        sys.exit(f"not what deploy/grafana/dashboards.py writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()
