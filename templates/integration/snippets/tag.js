// Reports an order from the page that thanks for it. Needs the capture script on the page where visitors arrive.
// Loading it again is safe: an order id counts once. Put no token here: everybody can read it.
(function () {
  var PICTURE_URL = {{ picture_url }};

  // The newest purchase of the data layer, as Google's tags write it: {ecommerce: …}, or ("event", "purchase", …).
  var purchase = (window.dataLayer || []).reduce(function (newest, entry) {
    var said = entry && (entry.ecommerce || entry[2]);
    return said && said.transaction_id ? said : newest;
  }, {});

  // What is reported. Change what stands on the right where your data layer calls it otherwise.
  var order = {
    goal: {{ goal }}, // the code of the goal
    order_id: purchase.transaction_id, // your own id of the order
    amount: purchase.value, // 49.9 or "49.90"
    currency: purchase.currency || {{ currency }}, // ISO 4217
  };

  // What the capture script keeps; its cookie where the script is not on this page too.
  function clickId() {
    if (window.clickledger) return window.clickledger.id();
    var cookie = ("; " + document.cookie).split("; click_id=")[1] || "";
    return decodeURIComponent(cookie.split(";")[0]);
  }

  function report() {
    var id = clickId();
    if (!id) return; // Nobody was sent here by an affiliate.
    var url = PICTURE_URL + "?click_id=" + encodeURIComponent(id);
    for (var name in order) {
      var value = order[name];
      // A computed 19.990000000000002 is 19.99.
      if (typeof value === "number") value = Number(value.toFixed(6));
      if (value || value === 0) url += "&" + name + "=" + encodeURIComponent(value);
    }
    new Image().src = url;
  }

  if (window.clickledger || document.readyState === "complete") report();
  else window.addEventListener("load", report);
})();
