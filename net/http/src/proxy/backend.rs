//! How to reach a backend.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// A transport to a backend.
pub trait BackendIo: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> BackendIo for T {}

/// A transport on its way.
pub type Dialing<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn BackendIo>>> + Send + 'a>>;

/// Opens transports: TCP, TLS, or a stream of the cluster's bus.
pub trait Backend: Send + Sync {
    /// Opens one.
    fn dial(&self) -> Dialing<'_>;
}

/// Plain HTTP.
#[derive(Clone, Debug)]
pub struct TcpBackend {
    /// `host:port`
    pub address: String,
}

impl Backend for TcpBackend {
    fn dial(&self) -> Dialing<'_> {
        Box::pin(async move {
            let socket = TcpStream::connect(&self.address).await?;
            socket.set_nodelay(true)?;
            Ok(Box::new(socket) as Box<dyn BackendIo>)
        })
    }
}

/// HTTPS.
#[derive(Clone)]
pub struct TlsBackend {
    /// `host:port`
    pub address: String,
    /// The name that the certificate must have.
    pub server_name: ServerName<'static>,
    /// From [`trireme_pki::https_client`].
    pub tls: Arc<ClientConfig>,
}

impl Backend for TlsBackend {
    fn dial(&self) -> Dialing<'_> {
        Box::pin(async move {
            let socket = TcpStream::connect(&self.address).await?;
            socket.set_nodelay(true)?;
            let tls = TlsConnector::from(self.tls.clone()).connect(self.server_name.clone(), socket).await?;
            Ok(Box::new(tls) as Box<dyn BackendIo>)
        })
    }
}
