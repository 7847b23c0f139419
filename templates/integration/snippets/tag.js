// Reports an order from the order confirmation page. Requires the capture script on the landing page.
// Reloading the page is safe: each order ID counts once. Do not add a token: visitors can read this code.
(function () {
  var PICTURE_URL = {{ picture_url }};

  // Latest purchase in the data layer, in the format of Google's tags: {ecommerce: …}, or ("event", "purchase", …).
  var purchase = (window.dataLayer || []).reduce(function (newest, entry) {
    var data = entry && (entry.ecommerce || entry[2]);
    return data && data.transaction_id ? data : newest;
  }, {});

  // Reported values. If your data layer uses other names, change the right-hand side.
  var order = {
    goal: {{ goal }}, // goal code
    order_id: purchase.transaction_id, // your order ID
    amount: purchase.value, // 49.9 or "49.90"
    currency: purchase.currency || {{ currency }}, // ISO 4217
  };

  // Click ID from the capture script, or from its cookie if the script is not on this page.
  function clickId() {
    if (window.clickledger) return window.clickledger.id();
    var cookie = ("; " + document.cookie).split("; click_id=")[1] || "";
    return decodeURIComponent(cookie.split(";")[0]);
  }

  function report() {
    var id = clickId();
    if (!id) return; // The visitor did not come through an affiliate.
    var url = PICTURE_URL + "?click_id=" + encodeURIComponent(id);
    for (var name in order) {
      var value = order[name];
      // Rounds floating-point results such as 19.990000000000002.
      if (typeof value === "number") value = Number(value.toFixed(6));
      if (value || value === 0) url += "&" + name + "=" + encodeURIComponent(value);
    }
    new Image().src = url;
  }

  if (window.clickledger || document.readyState === "complete") report();
  else window.addEventListener("load", report);
})();
