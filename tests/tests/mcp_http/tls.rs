//! The same over TLS.

use std::io::{BufReader, Write as _};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use signoff_tests::Workspace;
use signoff_tests::wire::{self, Served, TOKEN, rpc};

#[test]
fn over_tls_with_a_certificate_of_the_operator() {
    let workspace = Workspace::with_invoices(1);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (chain, private) = (workspace.path("chain.pem"), workspace.path("key.pem"));
    std::fs::write(&chain, certificate.pem()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    let [chain, private] = [chain, private].map(|path| path.display().to_string());
    let served = Served::start(&workspace, &["--tls-cert", &chain, "--tls-key", &private]);

    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let connection = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, served.connect());
    let message = rpc(1, "tools/list", json!({})).to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{message}",
        message.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let reply = wire::read(&mut BufReader::new(stream)).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");

    // Whoever speaks plainly to it gets no answer, and stops nobody.
    served.connect().write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();

    let refused = |chain: &str, key: &str| {
        let ran = workspace.json([
            "mcp",
            "serve-streamable-http",
            "--dev-no-auth",
            "--port",
            "0",
            "--tls-cert",
            chain,
            "--tls-key",
            key,
        ]);
        (ran.code, ran.error_code())
    };
    assert_eq!(refused(&private, &chain), (2, "HTTP_TLS_INVALID".to_owned()), "the wrong way round");
    assert_eq!(refused("none.pem", &private), (1, "FILE_UNREADABLE".to_owned()));
}
