"""Reports a paid order. Needs Python 3.8 or newer, no packages.

Run it on your server, in a background job: it waits between attempts. Repeating a call is safe: an order id counts
once. Keep the token{% if signed %} and the secret{% endif %} out of your repository.
"""
{%- if signed %}
import hashlib
import hmac
{%- endif %}
import http.client
import json
import sys
import time
import urllib.parse
import urllib.request

POSTBACK_URL = {{ postback_url }}
TOKEN = {{ token }}
{%- if signed %}
SECRET = {{ secret }}
{%- endif %}
GOAL = {{ goal }}


def report_order(click_id, order_id, amount, currency):
    """Returns 0 when the order is stored, 1 when the call must be corrected, 2 when it is to be sent again later."""
    body = urllib.parse.urlencode({
        "click_id": click_id,
        "goal": GOAL,
        "order_id": order_id,
        "amount": amount,  # a string such as "49.90", never a float
        "currency": currency,
    }).encode()
    for attempt in range(1, 6):
        if attempt > 1:
            time.sleep(2 ** (attempt - 2))
        status, text = send(body)
        if 200 <= status < 300:
            print(text)
            return 0
        if status not in (0, 408, 429) and status < 500:
            print(status, explain(text), file=sys.stderr)
            return 1
        print(f"attempt {attempt}: {status or text}", file=sys.stderr)
    return 2


class AnswersAsTheyAre(urllib.request.HTTPErrorProcessor):
    """Neither follows redirects nor raises for a 4xx or 5xx."""

    def http_response(self, request, response):
        return response

    https_response = http_response


def send(body):
    """Status and text of the answer; status 0 when there was none."""
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/x-www-form-urlencoded",
{%- if signed %}
        "X-Clickledger-Signature": sign(body),
{%- endif %}
    }
    request = urllib.request.Request(POSTBACK_URL, body, headers)
    try:
        with urllib.request.build_opener(AnswersAsTheyAre).open(request, timeout=10) as response:
            return response.status, response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, f"no answer: {error}"
{%- if signed %}


def sign(body):
    """The time and what proves that the call is yours and was not changed on its way."""
    now = int(time.time())
    url = urllib.parse.urlsplit(POSTBACK_URL)
    target = url.path + ("?" + url.query if url.query else "")
    digest = hashlib.sha256(target.encode() + b"\n" + body).hexdigest()
    mac = hmac.new(SECRET.encode(), f"{now}.{digest}".encode(), hashlib.sha256).hexdigest()
    return f"t={now},v1={mac}"
{%- endif %}


def explain(text):
    """What is wrong and what to do about it."""
    try:
        answer = json.loads(text)
        return f"{answer['reason']}: {answer['message']} {answer['hint'] or ''}"
    except (ValueError, KeyError, TypeError):
        return text


if __name__ == "__main__":
    sys.exit(report_order({{ click_id }}, {{ order_id }}, {{ amount }}, {{ currency }}))
