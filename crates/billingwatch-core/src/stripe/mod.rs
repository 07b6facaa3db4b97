//! Stripe's wire: signatures and payloads. The only code that knows Stripe's header and fields.
