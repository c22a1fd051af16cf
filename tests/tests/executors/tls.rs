//! https, with authorities and certificates made for one test each: what is not trusted gets not one byte of a request.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use signoff::executor::SystemResolver;
use signoff::runtime::{ApplyOptions, Ending};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::house::House;
use super::proxy::Fault;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        Self::named("an authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A server's certificate for this name, valid as long as `change` says.
    fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Ends TLS before the proxy; counts connections, and bytes that came through TLS.
struct Terminator {
    at: SocketAddr,
    connections: Arc<AtomicUsize>,
    received: Arc<AtomicUsize>,
}

impl Terminator {
    fn before(house: &House, acceptor: TlsAcceptor) -> Self {
        let listener = house.wait(TcpListener::bind("127.0.0.1:0")).unwrap();
        let at = listener.local_addr().unwrap();
        let (connections, received) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (behind, connected, read) = (house.proxy.at, Arc::clone(&connections), Arc::clone(&received));
        house.app.shop.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connected.fetch_add(1, Ordering::SeqCst);
                let (acceptor, read) = (acceptor.clone(), Arc::clone(&read));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut first = [0; 1];
                    if stream.read_exact(&mut first).await.is_err() {
                        return;
                    }
                    read.fetch_add(1, Ordering::SeqCst);
                    let mut server = TcpStream::connect(behind).await.unwrap();
                    tokio::io::AsyncWriteExt::write_all(&mut server, &first).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self { at, connections, received }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/signoff/writeback", self.at.port())
    }
}

/// Makes this authority the one that is trusted beside the web's; what was read of another is forgotten.
fn trust(house: &mut House, authority: &Authority) {
    let path = house.folder.path().join("authority.pem");
    std::fs::write(&path, authority.0.pem()).unwrap();
    house.set("SSL_CERT_FILE", path.to_str().unwrap());
    house.runtime = house.runtime.clone().with_resolver(Arc::new(SystemResolver));
}

#[test]
fn over_https_with_an_authority_of_ones_own() {
    let Some(mut house) = House::new(3) else { return };
    let authority = Authority::new();
    let front = Terminator::before(&house, authority.server("localhost", |_| {}));
    house.set("BILLING_APP_HANDLER_URL", &front.url());
    trust(&mut house, &authority);
    for number in 1..=2 {
        let id = house.approved(&format!("INV-{number}"));
        assert_eq!(house.apply(&id).unwrap().ending, Ending::Applied);
        assert_eq!(house.effects(&format!("INV-{number}")), "1");
    }
    assert_eq!(front.connections.load(Ordering::SeqCst), 1, "kept");
    // What comes after TLS is judged as ever.
    let id = house.approved("INV-3");
    house.proxy.set(Fault::Dropped);
    assert_eq!(house.apply(&id).unwrap().ending, Ending::Unknown);
    house.proxy.set(Fault::None);
    assert_eq!(house.apply(&id).unwrap().ending, Ending::AlreadyApplied);
    assert_eq!((house.effects("INV-3").as_str(), house.app.effects()), ("1", 3));
}

#[test]
fn a_certificate_that_is_not_trusted_gets_nothing() {
    let Some(mut house) = House::new(1) else { return };
    let (ours, theirs, posing) = (Authority::new(), Authority::named("another"), Authority::new());
    trust(&mut house, &ours);
    let id = house.approved("INV-1");
    let expired = |params: &mut CertificateParams| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    };
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(3000, 1, 1);
    let nobody = "nobody who is trusted here signed its certificate; SSL_CERT_FILE adds an authority";
    for (acceptor, why) in [
        (posing.server("localhost", |_| {}), nobody),
        (theirs.server("localhost", |_| {}), nobody),
        (ours.server("localhost", expired), "its certificate has expired"),
        (ours.server("localhost", early), "its certificate is not valid yet"),
        (ours.server("billing.example", |_| {}), "its certificate is for another name"),
    ] {
        let front = Terminator::before(&house, acceptor);
        house.set("BILLING_APP_HANDLER_URL", &front.url());
        let error = house.apply(&id).unwrap_err();
        assert_eq!(
            (error.code().as_str(), error.field("reason"), error.retryable()),
            ("EXECUTOR_UNREACHABLE", Some(why), true)
        );
        let record = house.wait(house.runtime.show(&id)).unwrap();
        assert_eq!(
            (record.state.as_str(), record.standing.last_error.as_deref()),
            ("approved", Some("EXECUTOR_UNREACHABLE"))
        );
        assert_eq!((front.connections.load(Ordering::SeqCst), front.received.load(Ordering::SeqCst)), (1, 0), "{why}");
    }
    // Nor does one that speaks no TLS, or a file of roots that is none.
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    house.set("BILLING_APP_HANDLER_URL", &format!("https://{}/", plain.local_addr().unwrap()));
    std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    assert_eq!(house.apply(&id).unwrap_err().field("reason"), Some("TLS could not be agreed on"));
    let front = Terminator::before(&house, ours.server("localhost", |_| {}));
    house.set("BILLING_APP_HANDLER_URL", &front.url());
    std::fs::write(house.folder.path().join("authority.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    house.runtime = house.runtime.clone().with_resolver(Arc::new(SystemResolver));
    let error = house.apply(&id).unwrap_err();
    assert_eq!(error.field("reason"), Some("the file in SSL_CERT_FILE is not PEM"));
    assert!(house.sent().is_empty() && house.app.effects() == 0);

    trust(&mut house, &ours);
    assert_eq!(house.wait(house.runtime.apply(&id, &ApplyOptions::default())).unwrap().ending, Ending::Applied);
    assert_eq!(house.effects("INV-1"), "1");
}
