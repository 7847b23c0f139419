// Starts Swagger UI on the element that says where the description of the API is.
"use strict";

const element = document.getElementById("api");

SwaggerUIBundle({
  domNode: element,
  url: element.dataset.description,
  deepLinking: true,
  // A key that was typed in stays on this page and goes with it.
  persistAuthorization: false,
  // No description leaves for a validator elsewhere.
  validatorUrl: null,
});
