<?php
// Reports a paid order. Needs PHP 7.4 or newer with allow_url_fopen and openssl (for https), no packages. Run it on your
// server, in the background: it waits between attempts. Repeating a call is safe: an order id counts once.
// Keep the token{% if signed %} and the secret{% endif %} out of your repository.

const POSTBACK_URL = {{ postback_url }};
const TOKEN = {{ token }};
{%- if signed %}
const SECRET = {{ secret }};
{%- endif %}
const GOAL = {{ goal }};

// Returns 0 when the order is stored, 1 when the call must be corrected, 2 when it is to be sent again later.
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

// Status and text of the answer; status 0 when there was none.
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
        'ignore_errors' => true, // a 4xx has a body that explains it
    ]]);
    $stream = @fopen(POSTBACK_URL, 'r', false, $context);
    if ($stream === false) {
        return [0, 'no answer: ' . (error_get_last()['message'] ?? '')];
    }
    $statusLine = stream_get_meta_data($stream)['wrapper_data'][0] ?? '';
    $text = (string) stream_get_contents($stream);
    fclose($stream);
    return [(int) (explode(' ', $statusLine)[1] ?? 0), $text];
}
{%- if signed %}

// The time and what proves that the call is yours and was not changed on its way.
function sign(string $body): string
{
    $time = time();
    $url = parse_url(POSTBACK_URL);
    $target = $url['path'] . (isset($url['query']) ? '?' . $url['query'] : '');
    $digest = hash('sha256', $target . "\n" . $body);
    return "t=$time,v1=" . hash_hmac('sha256', "$time.$digest", SECRET);
}
{%- endif %}

// What is wrong and what to do about it.
function explain(string $text): string
{
    $answer = json_decode($text, true);
    if (!is_array($answer) || !isset($answer['reason'])) {
        return $text;
    }
    return $answer['reason'] . ': ' . ($answer['message'] ?? '') . ' ' . ($answer['hint'] ?? '');
}

exit(reportOrder({{ click_id }}, {{ order_id }}, {{ amount }}, {{ currency }}));
