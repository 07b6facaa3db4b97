//! A refused body of no stated length ends with its connection.
//!
//! The protocol layer reads on for as long as the sender of a chunked body cares to send, once the
//! handler has dropped it: to keep the connection for the next request. Who is refused and never
//! ends would hold a connection for ever. A body that is still held when its answer has gone out is
//! another matter: then the connection is closed, after the disconnect time limit at the latest. So
//! a refused one is held until then.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage};
use futures_core::Stream;

pub(crate) async fn hold_endless(
    mut req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if !req.headers().contains_key(header::TRANSFER_ENCODING) {
        return Ok(next.call(req).await?.map_into_boxed_body());
    }
    let held = Held(Rc::new(RefCell::new(req.take_payload())));
    let payload = Box::pin(held.clone());
    req.set_payload(Payload::Stream { payload });
    let response = next.call(req).await?;
    if response.status().is_success() {
        return Ok(response.map_into_boxed_body());
    }
    Ok(response.map_body(|_, body| {
        BoxBody::new(Answer {
            body: body.boxed(),
            _held: held,
        })
    }))
}

/// A body that the handler reads and we keep.
#[derive(Clone)]
struct Held(Rc<RefCell<Payload>>);

impl Stream for Held {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// An answer, and the request's body for as long as it takes to send it.
struct Answer {
    body: BoxBody,
    _held: Held,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
