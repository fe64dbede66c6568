//! The connections of one listener: accepts them up to a limit, closes idle ones, and drains them at shutdown.
//!
//! Replaces `axum::serve`, which accepts without limit, never times out, and at shutdown closes idle connections even
//! if a request is on its way. Hyper handles the protocols.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, Request, Version, header};
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::{BoxError, Service, ServiceExt, service_fn};
use tracing::{error, warn};

use super::super::connection::activity::{Activity, ConnectionAction, Times};
use super::super::connection::unread::{Answer, Unread};
use super::super::middleware::crowd::{Crowded, Seating};
use super::super::state::AppState;
use super::rest::ReadToEnd;
use super::socket::Watched;
use crate::metrics::Metrics;

/// Pause after the system refused to accept (for example, no file descriptor is left). An immediate retry would fail
/// again.
const AFTER_REFUSAL: Duration = Duration::from_millis(500);
/// Additional connections above the limit, on which only probes are answered.
const RESERVE: usize = 256;
/// Buffer size per connection for request heads and for outgoing responses, in bytes.
const BUFFER_BYTES: usize = 32 << 10;
/// Size of the system's send buffer per connection, in bytes. The system doubles it for its own needs.
const SEND_BUFFER_BYTES: usize = 256 << 10;

/// State shared by the connections of a listener.
#[derive(Clone)]
struct Shared {
    router: Router,
    metrics: Arc<Metrics>,
    times: Times,
    unread: Arc<Unread>,
    /// One permit for each connection within the limit.
    seats: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

/// Serves connections until `stopped` is true or its sender is dropped. Then answers all accepted requests and returns
/// when all connections are closed. If the future is dropped earlier, open connections are cut.
pub async fn serve(listener: TcpListener, router: Router, state: AppState, stopped: watch::Receiver<bool>) {
    let config = state.http().clone();
    let shared = Shared {
        router,
        metrics: Arc::clone(state.metrics()),
        times: config.times(),
        unread: Unread::new(config.answer_bytes),
        seats: Arc::new(Semaphore::new(config.connections.min(Semaphore::MAX_PERMITS))),
        stopped: stopped.clone(),
    };
    let most = config.connections.saturating_add(RESERVE);
    let mut open = JoinSet::new();
    let mut full = false;
    let connection = |socket| connection(socket, shared.clone());
    let mut stop = pin!(until(stopped));
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = open.join_next() => {}
            // Further connections wait in the system's accept queue, which is cheap and has its own limit.
            accepted = listener.accept(), if open.len() < most => match accepted {
                Ok((socket, _)) => { open.spawn(connection(socket)); }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    error!(%error, open = open.len(), "no connection can be accepted");
                    tokio::select! {
                        () = &mut stop => break,
                        () = tokio::time::sleep(AFTER_REFUSAL) => {}
                    }
                }
            }
        }
        if full != (open.len() >= config.connections) {
            full = !full;
            if full {
                warn!(
                    connections = config.connections,
                    "as many connections as may be are open: on more only probes are answered"
                );
            }
        }
    }
    // Connections that the system had already accepted before the stop.
    for socket in waiting(listener).take(most.saturating_sub(open.len())) {
        open.spawn(connection(socket));
    }
    while open.join_next().await.is_some() {}
}

/// Resolves at shutdown.
async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender was dropped, which also means shutdown.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Connections that the system has accepted and the server has not. Closes the listener after the last one.
fn waiting(listener: TcpListener) -> impl Iterator<Item = TcpStream> {
    let listener = listener.into_std().ok();
    let next = move || listener.as_ref().and_then(|listener| listener.accept().ok());
    std::iter::from_fn(next).filter_map(|(socket, _)| {
        socket.set_nonblocking(true).ok()?;
        TcpStream::from_std(socket).ok()
    })
}

/// The routes as a service that records the start and end of each request.
fn answering<B>(
    shared: &Shared,
    activity: Arc<Activity>,
    seating: Seating,
) -> impl Service<Request<B>, Response = Response, Error = Infallible, Future: Send> + Clone + use<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError> + Send> + Send + Unpin + 'static,
{
    let (router, unread) = (shared.router.clone(), Arc::clone(&shared.unread));
    service_fn(move |mut request: Request<B>| {
        let http2 = request.version() == Version::HTTP_2;
        let under_way = activity.begin(http2);
        // Streaming handlers use this to cut a client that takes no data. The log uses it for the client's address.
        request.extensions_mut().insert(Arc::clone(&activity));
        let (router, unread, seating) = (router.clone(), Arc::clone(&unread), seating.clone());
        async move {
            if !seating.admit(request.uri().path()).await {
                request.extensions_mut().insert(Crowded);
            }
            let (head, body) = request.into_parts();
            let body = ReadToEnd::new(&head.headers, body);
            let mut response = router.oneshot(Request::from_parts(head, body)).await?;
            if !http2 && under_way.is_last() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            let held = response.extensions().get().copied();
            Ok(response.map(|body| Body::new(Answer::new(body, held, under_way, &unread))))
        }
    })
}

/// Serves one connection until it is closed.
async fn connection(socket: TcpStream, shared: Shared) {
    // Sends small responses at once. If the option cannot be set, they are only sent a little later.
    let _ = socket.set_nodelay(true);
    // Without this limit the system would buffer megabytes of a response.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER_BYTES);
    let activity = Activity::new(shared.times, socket.peer_addr().ok().map(|peer| peer.ip().to_canonical()));
    let _seat = shared.unread.join(&activity);
    let seating = Seating::new(&shared.seats);
    if seating.is_guest() {
        // A connection above the limit gets one request.
        activity.end();
    }
    let io = TokioIo::new(Watched::new(socket, activity.clone(), Arc::clone(&shared.metrics)));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(BUFFER_BYTES);
    builder.http2().max_send_buf_size(BUFFER_BYTES);
    let service = TowerToHyperService::new(answering(&shared, activity.clone(), seating));
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut stop = pin!(until(shared.stopped));
    let mut stopping = false;
    let mut timer = pin!(tokio::time::sleep(shared.times.header.min(shared.times.keep_alive)));
    poll_fn(|cx| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            activity.end();
        }
        activity.wake(cx.waker());
        loop {
            // Errors are caused by the client: it disconnected, or does not speak HTTP.
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match activity.action() {
                ConnectionAction::Cut => return Poll::Ready(()),
                ConnectionAction::Goodbye => connection.as_mut().graceful_shutdown(),
                ConnectionAction::Wait(until) => {
                    // The timer is only moved to an earlier time. A later deadline is checked when the timer fires, so
                    // most requests set no timer.
                    let armed = timer.deadline().into_std();
                    if until < armed || armed <= Instant::now() {
                        timer.as_mut().reset(until.into());
                    }
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    })
    .await;
}
