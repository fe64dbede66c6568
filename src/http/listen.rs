//! Connections of one listener: accepted up to a limit, ended when nothing moves, drained when the server stops.
//!
//! Its own because `axum::serve` accepts without limit, waits for ever, and closes resting connections at the stop
//! while a request may be on the wire. The protocols themselves are hyper's.

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
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::{BoxError, Service, ServiceExt, service_fn};
use tracing::{error, warn};

use super::activity::{Activity, Times, Verdict, Watched};
use super::state::HttpConfig;

/// After a refusal of the system (no file descriptor is left, say) the next try waits for so long: it would be
/// refused again at once.
const AFTER_REFUSAL: Duration = Duration::from_millis(500);

/// Serves connections until `stopped` is true (or its sender gone), then answers what was accepted and returns when
/// all are closed. Dropped before, it cuts them.
pub async fn serve(listener: TcpListener, router: Router, config: HttpConfig, stopped: watch::Receiver<bool>) {
    let times = config.times();
    let mut open = JoinSet::new();
    let mut full = false;
    let connection = |socket| connection(socket, router.clone(), times, stopped.clone());
    let mut stop = pin!(until(stopped.clone()));
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = open.join_next() => {}
            // Those beyond the limit wait in the system's queue, which costs nothing and has its own limit.
            accepted = listener.accept(), if open.len() < config.connections => match accepted {
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
                warn!(connections = config.connections, "as many connections as may be are open: others wait");
            }
        }
    }
    // Those whose clients were told that they are connected before the stop.
    for socket in waiting(listener).take(config.connections.saturating_sub(open.len())) {
        open.spawn(connection(socket));
    }
    while open.join_next().await.is_some() {}
}

/// Resolves when it is time to stop.
async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The connections that the system has accepted and the server has not; then the listener is closed.
fn waiting(listener: TcpListener) -> impl Iterator<Item = TcpStream> {
    let listener = listener.into_std().ok();
    let next = move || listener.as_ref().and_then(|listener| listener.accept().ok());
    std::iter::from_fn(next).filter_map(|(socket, _)| {
        socket.set_nonblocking(true).ok()?;
        TcpStream::from_std(socket).ok()
    })
}

/// The routes, with a note of when each request begins and ends.
fn answering<B>(
    router: Router,
    activity: Arc<Activity>,
) -> impl Service<Request<B>, Response = Response, Error = Infallible, Future: Send> + Clone
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    service_fn(move |request: Request<B>| {
        let http2 = request.version() == Version::HTTP_2;
        let under_way = activity.begin(http2);
        let answer = router.clone().oneshot(request);
        async move {
            let mut response = answer.await?;
            if !http2 && under_way.is_last() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            // Held until the last of the body is handed over.
            let held = move |error| {
                let _ = &under_way;
                error
            };
            Ok(response.map(|body| Body::new(body.map_err(held))))
        }
    })
}

/// One connection, to its end.
async fn connection(socket: TcpStream, router: Router, times: Times, stopped: watch::Receiver<bool>) {
    // Small answers leave at once; where that cannot be set they leave a little later.
    let _ = socket.set_nodelay(true);
    let activity = Activity::new(times);
    let io = TokioIo::new(Watched { socket, activity: activity.clone() });
    let builder = auto::Builder::new(TokioExecutor::new());
    let service = TowerToHyperService::new(answering(router, activity.clone()));
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut stop = pin!(until(stopped));
    let mut stopping = false;
    let mut timer = pin!(tokio::time::sleep(times.header.min(times.keep_alive)));
    poll_fn(|cx| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            activity.end();
        }
        loop {
            // An error is the client's: it has gone, or does not speak HTTP.
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match activity.verdict() {
                Verdict::Cut => return Poll::Ready(()),
                Verdict::Goodbye => connection.as_mut().graceful_shutdown(),
                Verdict::Wait(until) => {
                    // A later time is looked at when the earlier one has come: most requests set no timer.
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
