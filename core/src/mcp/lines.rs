//! One JSON-RPC message a line, with the arguments of a tool call kept as the client wrote them.

use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ErrorData, GetExtensions as _, GetMeta as _, JsonRpcMessage, ProtocolVersion,
    RequestId, ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::primitives::json;

/// The longest message that is read, in bytes.
pub const MAX_MESSAGE: usize = 1 << 20;

/// How much of each end of a message that is too long is kept, to find its id.
const EDGE: usize = 4 << 10;

/// The text of a call's arguments, as the client wrote it.
#[derive(Debug, Clone)]
pub(super) struct Arguments(pub String);

/// A transport over two streams.
#[derive(Debug)]
pub struct Lines<R, W> {
    read: BufReader<R>,
    line: Vec<u8>,
    /// The rest of a line that was too long is on its way.
    skipping: bool,
    /// A request chose the era of the session.
    begun: bool,
    write: Arc<Mutex<Option<W>>>,
    /// Refusals that wait to be written: who does not read them is not read on.
    refusals: Arc<Semaphore>,
}

impl<R: AsyncRead, W> Lines<R, W> {
    /// Over these streams.
    pub fn new(read: R, write: W) -> Self {
        Self {
            refusals: Arc::new(Semaphore::new(64)),
            read: BufReader::new(read),
            line: Vec::new(),
            skipping: false,
            begun: false,
            write: Arc::new(Mutex::new(Some(write))),
        }
    }
}

enum Read {
    Line(Vec<u8>),
    /// With what is left of it: its beginning and its end.
    TooLong(Vec<u8>),
    End,
}

impl<R, W> Lines<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    /// The next line. Dropped half-way, it goes on where it was.
    async fn next(&mut self) -> Read {
        loop {
            let (used, ended) = {
                let Ok(available) = self.read.fill_buf().await else { return Read::End };
                if available.is_empty() {
                    // A last line without its end is half a message.
                    return Read::End;
                }
                let end = available.iter().position(|byte| *byte == b'\n');
                let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
                self.skipping |= self.line.len() + part.len() > MAX_MESSAGE;
                self.line.extend_from_slice(part);
                if self.skipping && self.line.len() > 4 * EDGE {
                    self.line.drain(EDGE..self.line.len() - EDGE);
                }
                (end.map_or(available.len(), |end| end + 1), end.is_some())
            };
            self.read.consume(used);
            if ended {
                let line = std::mem::take(&mut self.line);
                if std::mem::take(&mut self.skipping) {
                    return Read::TooLong(line);
                }
                return Read::Line(line);
            }
        }
    }

    async fn put(write: Arc<Mutex<Option<W>>>, message: impl serde::Serialize) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(&message)?;
        text.push(b'\n');
        let mut held = write.lock().await;
        let Some(write) = held.as_mut() else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
        write.write_all(&text).await?;
        write.flush().await
    }

    /// In a task of its own: a session drops `receive` when something else is to be done, and an answer must not be dropped
    /// with it.
    fn refuse(&self, place: Option<OwnedSemaphorePermit>, id: Option<RequestId>, error: ErrorData) {
        // With an id in any case: a client that gets none waits for ever.
        let message = serde_json::json!({ "jsonrpc": "2.0", "id": id, "error": error });
        // A client that hung up is noticed by the next read.
        let written = Self::put(Arc::clone(&self.write), message);
        tokio::spawn(async move {
            let _ = written.await;
            drop(place);
        });
    }
}

impl<R, W> Transport<RoleServer> for Lines<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = std::io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        Self::put(Arc::clone(&self.write), message)
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            let place = Arc::clone(&self.refusals).acquire_owned().await.ok();
            match self.next().await {
                Read::End => return None,
                Read::TooLong(line) => {
                    let error =
                        ErrorData::invalid_request(format!("a message is longer than {MAX_MESSAGE} bytes"), None);
                    self.refuse(place, id_of(&line), error);
                }
                Read::Line(line) => {
                    if line.iter().all(u8::is_ascii_whitespace) {
                        continue;
                    }
                    match parse(&line) {
                        Ok(message) => {
                            self.begun |= begins(&message);
                            // Before that, the library takes what is no request for the end of the session.
                            if self.begun || matches!(message, JsonRpcMessage::Request(_)) {
                                return Some(message);
                            }
                        }
                        Err((id, error)) => self.refuse(place, id, error),
                    }
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        match self.write.lock().await.take() {
            Some(mut write) => write.shutdown().await,
            None => Ok(()),
        }
    }
}

/// Does this message choose the era of a session, as the library sees it?
fn begins(message: &ClientJsonRpcMessage) -> bool {
    let JsonRpcMessage::Request(request) = message else { return false };
    match &request.request {
        ClientRequest::InitializeRequest(_) => true,
        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
        request => {
            let meta = request.get_meta();
            let known = |version| ProtocolVersion::KNOWN_VERSIONS.contains(&version);
            meta.missing_required_keys(&ProtocolVersion::V_2026_07_28).is_empty()
                && meta.protocol_version().is_some_and(known)
        }
    }
}

/// The id of a message that cannot be read as a whole, if it stands at its beginning or its end, where clients write it.
fn id_of(line: &[u8]) -> Option<RequestId> {
    use regex_lite::Regex;
    use std::sync::LazyLock;

    static FIRST: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?(?:"method"\s*:\s*"[a-z/]+"\s*,\s*)?"id"\s*:\s*(-?[0-9]{1,15}|"[^"\\]{1,128}")\s*[,}]"#).ok()
    });
    static LAST: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"\}\s*,\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(-?[0-9]{1,15}|"[^"\\]{1,128}")\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$"#).ok()
    });
    let text = String::from_utf8_lossy(line);
    let found = [&FIRST, &LAST].into_iter().find_map(|pattern| pattern.as_ref()?.captures(&text)?.get(1));
    serde_json::from_str(found?.as_str()).ok()
}

/// The methods of ours that need parameters.
const WITH_PARAMETERS: [&str; 3] = ["initialize", "tools/call", "resources/read"];

/// What is looked at before a message is taken apart.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default, borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(default, borrow)]
    arguments: Option<&'a RawValue>,
}

/// A message of a client: strict JSON, or the answer that it is none.
pub(super) fn parse(line: &[u8]) -> Result<ClientJsonRpcMessage, (Option<RequestId>, ErrorData)> {
    let not_json = || (id_of(line), ErrorData::parse_error("a message is one line of strict JSON", None));
    let text = std::str::from_utf8(line).map_err(|_| not_json())?;
    json::parse(text).map_err(|_| not_json())?;
    let outline: Outline<'_> = serde_json::from_str(text)
        .map_err(|_| (None, ErrorData::invalid_request("a message is a JSON object", None)))?;
    let id = outline.id.and_then(|id| serde_json::from_str::<RequestId>(id.get()).ok());
    let mut message: ClientJsonRpcMessage = serde_json::from_str(text).map_err(|_| match &outline.method {
        Some(_) => (id.clone(), ErrorData::invalid_params("the parameters do not fit the method", None)),
        None => (id.clone(), ErrorData::invalid_request("this is no JSON-RPC 2.0 message", None)),
    })?;
    // What does not fit a method that we know is taken for one that we do not.
    if let JsonRpcMessage::Request(request) = &message
        && matches!(request.request, ClientRequest::CustomRequest(_))
        && outline.method.as_deref().is_some_and(|method| WITH_PARAMETERS.contains(&method))
    {
        return Err((id, ErrorData::invalid_params("the parameters do not fit the method", None)));
    }
    if outline.method.as_deref() == Some("tools/call")
        && let JsonRpcMessage::Request(request) = &mut message
        && let Some(params) = outline.params.and_then(|params| serde_json::from_str::<Params<'_>>(params.get()).ok())
        && let Some(arguments) = params.arguments
    {
        request.request.extensions_mut().insert(Arguments(arguments.get().to_owned()));
    }
    Ok(message)
}
