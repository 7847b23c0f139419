#!/bin/sh
# Sends a postback for a paid order. Requires curl{% if signed %} and openssl{% endif %}. Run this script on your server in a
# background job, because it waits between attempts. Retries are safe: each order ID counts once.
# Keep the token{% if signed %} and the secret{% endif %} out of your repository.

POSTBACK_URL={{ postback_url }}
TOKEN={{ token }}
{%- if signed %}
SECRET={{ secret }}
{%- endif %}
GOAL={{ goal }}
{%- if signed %}

urlencode() {
  printf %s "$1" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g'
}

# Returns the value of the signature header: the timestamp and the HMAC of the request.
sign() { # body
  now=$(date +%s)
  target=/${POSTBACK_URL#*://*/}
  digest=$(printf '%s\n%s' "$target" "$1" | openssl dgst -sha256 -r | cut -d ' ' -f 1)
  mac=$(printf %s "$now.$digest" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d ' ' -f 1)
  printf %s "t=$now,v1=$mac"
}
{%- endif %}

# Returns 0 if the order is stored, 1 if the request must be corrected, 2 if it must be sent again later.
report_order() { # click id, order id, amount such as 49.90, currency
{%- if signed %}
  body="click_id=$(urlencode "$1")&goal=$(urlencode "$GOAL")&order_id=$(urlencode "$2")"
  body="$body&amount=$(urlencode "$3")&currency=$(urlencode "$4")"
{%- endif %}
  pause=1
  for attempt in 1 2 3 4 5; do
    if [ "$attempt" -gt 1 ]; then
      sleep "$pause"
      pause=$((pause * 2))
    fi
    answer=$(curl -sS --max-time 10 -w '\n%{http_code}' "$POSTBACK_URL" \
      -H "Authorization: Bearer $TOKEN" \
{%- if signed %}
      -H "X-Clickledger-Signature: $(sign "$body")" \
      --data-raw "$body")
{%- else %}
      --data-urlencode "click_id=$1" \
      --data-urlencode "goal=$GOAL" \
      --data-urlencode "order_id=$2" \
      --data-urlencode "amount=$3" \
      --data-urlencode "currency=$4")
{%- endif %}
    status=$(printf '%s\n' "$answer" | tail -n 1)
    answer=$(printf '%s\n' "$answer" | sed '$d')
    case $status in
      2??) printf '%s\n' "$answer"; return 0 ;;
      000 | 408 | 429 | 5??) echo "attempt $attempt: status $status" >&2 ;;
      # The response contains reason, message and hint.
      *) echo "$status $answer" >&2; return 1 ;;
    esac
  done
  return 2
}

report_order {{ click_id }} {{ order_id }} {{ amount }} {{ currency }}
exit $?
