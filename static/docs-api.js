// Starts Swagger UI on the element whose data-description is the URL of the OpenAPI document.
"use strict";

const element = document.getElementById("api");

SwaggerUIBundle({
  domNode: element,
  url: element.dataset.description,
  deepLinking: true,
  // An entered API key is not stored beyond this page.
  persistAuthorization: false,
  // The OpenAPI document is not sent to an external validator.
  validatorUrl: null,
});
