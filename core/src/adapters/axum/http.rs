//! A body in, a response out.

use std::future::poll_fn;
use std::pin::Pin;

use ::axum::body::{Body, HttpBody as _};
use ::axum::http::{HeaderName, HeaderValue, StatusCode};
use ::axum::response::Response as HttpResponse;

use crate::error::{Code, Error, Result};
use crate::handler::{MAX_BODY, Response};

/// The bytes as received. Nothing is read beyond the limit, and nothing at all of a body that announces more.
pub(super) async fn read(mut body: Body) -> Result<Vec<u8>> {
    let too_large = || Error::new(Code::BodyTooLarge).with("limit", MAX_BODY);
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| {
            Error::new(Code::BadWritebackRequest).with("problem", "the body could not be read to its end")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > MAX_BODY - bytes.len() {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// The response unchanged.
pub(super) fn sent(response: Response) -> HttpResponse {
    let mut sent = HttpResponse::new(Body::from(response.body));
    *sent.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            sent.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    sent
}
