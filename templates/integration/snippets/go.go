// Sends a postback for a paid order. Requires Go 1.18 or newer, no modules. Run this on your server in a background
// job, because it waits between attempts. Retries are safe: each order ID counts once.
// Keep the token{% if signed %} and the secret{% endif %} out of your repository.
package main

import (
{%- if signed %}
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
{%- endif %}
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	postbackURL = {{ postback_url }}
	token       = {{ token }}
{%- if signed %}
	secret      = {{ secret }}
{%- endif %}
	goal        = {{ goal }}
)

var client = &http.Client{
	Timeout: 10 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}

// reportOrder returns 0 if the order is stored, 1 if the request must be corrected, 2 if it must be sent again later.
// The amount is a string such as "49.90", never a float.
func reportOrder(clickID, orderID, amount, currency string) int {
	body := url.Values{
		"click_id": {clickID},
		"goal":     {goal},
		"order_id": {orderID},
		"amount":   {amount},
		"currency": {currency},
	}.Encode()
	for attempt := 1; attempt <= 5; attempt++ {
		if attempt > 1 {
			time.Sleep(time.Second << (attempt - 2))
		}
		status, text, err := send(body)
		switch {
		case err != nil:
			fmt.Fprintf(os.Stderr, "attempt %d: no response: %v\n", attempt, err)
		case status >= 200 && status < 300:
			fmt.Println(text)
			return 0
		case status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500:
			fmt.Fprintf(os.Stderr, "attempt %d: %d\n", attempt, status)
		default:
			fmt.Fprintln(os.Stderr, status, explain(text))
			return 1
		}
	}
	return 2
}

func send(body string) (int, string, error) {
	request, err := http.NewRequest(http.MethodPost, postbackURL, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
{%- if signed %}
	request.Header.Set("X-Clickledger-Signature", sign(request.URL.RequestURI(), body))
{%- endif %}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}
{%- if signed %}

// sign returns the value of the signature header: the timestamp and the HMAC of the request.
func sign(target, body string) string {
	now := time.Now().Unix()
	digest := sha256.Sum256([]byte(target + "\n" + body))
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", now, hex.EncodeToString(digest[:]))
	return fmt.Sprintf("t=%d,v1=%s", now, hex.EncodeToString(mac.Sum(nil)))
}
{%- endif %}

// explain returns the reason, message and hint of a rejected postback.
func explain(text string) string {
	var answer struct{ Reason, Message, Hint string }
	if json.Unmarshal([]byte(text), &answer) != nil || answer.Reason == "" {
		return text
	}
	return answer.Reason + ": " + answer.Message + " " + answer.Hint
}

func main() {
	os.Exit(reportOrder({{ click_id }}, {{ order_id }}, {{ amount }}, {{ currency }}))
}
