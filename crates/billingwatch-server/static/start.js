window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  // No validator badge: it would send the document to another host.
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
