<?php
// Sends a postback for a paid order. Requires PHP 7.4 or newer with allow_url_fopen and openssl (for HTTPS), no packages.
// Run this on your server in a background job, because it waits between attempts. Retries are safe: each order ID
// counts once. Keep the token{% if signed %} and the secret{% endif %} out of your repository.

const POSTBACK_URL = {{ postback_url }};
const TOKEN = {{ token }};
{%- if signed %}
const SECRET = {{ secret }};
{%- endif %}
const GOAL = {{ goal }};

// Returns 0 if the order is stored, 1 if the request must be corrected, 2 if it must be sent again later.
// The amount is a string such as '49.90', never a float.
function reportOrder(string $clickId, string $orderId, string $amount, string $currency): int
{
    $body = http_build_query([
        'click_id' => $clickId,
        'goal' => GOAL,
        'order_id' => $orderId,
        'amount' => $amount,
        'currency' => $currency,
    ], '', '&');
    for ($attempt = 1; $attempt <= 5; $attempt++) {
        if ($attempt > 1) {
            sleep(2 ** ($attempt - 2));
        }
        [$status, $text] = sendPostback($body);
        if ($status >= 200 && $status < 300) {
            echo $text, "\n";
            return 0;
        }
        if (!in_array($status, [0, 408, 429], true) && $status < 500) {
            error_log($status . ' ' . explain($text));
            return 1;
        }
        error_log("attempt $attempt: " . ($status ?: $text));
    }
    return 2;
}

// Returns status and body of the response; the status is 0 if the request failed.
function sendPostback(string $body): array
{
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => [
            'Authorization: Bearer ' . TOKEN,
            'Content-Type: application/x-www-form-urlencoded',
{%- if signed %}
            'X-Clickledger-Signature: ' . sign($body),
{%- endif %}
        ],
        'content' => $body,
        'timeout' => 10,
        'follow_location' => 0,
        'ignore_errors' => true, // the body of a 4xx response explains the rejection
    ]]);
    $stream = @fopen(POSTBACK_URL, 'r', false, $context);
    if ($stream === false) {
        return [0, 'no response: ' . (error_get_last()['message'] ?? '')];
    }
    $statusLine = stream_get_meta_data($stream)['wrapper_data'][0] ?? '';
    $text = (string) stream_get_contents($stream);
    fclose($stream);
    return [(int) (explode(' ', $statusLine)[1] ?? 0), $text];
}
{%- if signed %}

// Returns the value of the signature header: the timestamp and the HMAC of the request.
function sign(string $body): string
{
    $time = time();
    $url = parse_url(POSTBACK_URL);
    $target = $url['path'] . (isset($url['query']) ? '?' . $url['query'] : '');
    $digest = hash('sha256', $target . "\n" . $body);
    return "t=$time,v1=" . hash_hmac('sha256', "$time.$digest", SECRET);
}
{%- endif %}

// Returns the reason, message and hint of a rejected postback.
function explain(string $text): string
{
    $answer = json_decode($text, true);
    if (!is_array($answer) || !isset($answer['reason'])) {
        return $text;
    }
    return $answer['reason'] . ': ' . ($answer['message'] ?? '') . ' ' . ($answer['hint'] ?? '');
}

exit(reportOrder({{ click_id }}, {{ order_id }}, {{ amount }}, {{ currency }}));
