//! gRPC calls of every kind through the proxy.

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tonic::Code;

use super::fixtures::{HOST, bytes, serve};
use crate::harness::backends::grpc::{self, GrpcServer, Raw, path};
use crate::harness::deadline::soon;
use crate::harness::service::Service;

async fn grpc_service() -> (GrpcServer, Service) {
    let server = GrpcServer::start().await;
    let service = serve(&format!("h2c://{}", server.address)).await;
    (server, service)
}

#[tokio::test]
async fn a_unary_call_brings_its_message_and_metadata_back() {
    let (_server, service) = grpc_service().await;
    let mut client = grpc::connect(service.h2, HOST, &service.tasks).await;
    client.ready().await.unwrap();
    let request = tonic::Request::new(bytes("hello"));
    let answer = soon(client.unary(request, path("/echo"), Raw))
        .await
        .unwrap();
    assert_eq!(answer.metadata().get("x-echo").unwrap(), "kept");
    assert_eq!(answer.into_inner(), "hello");
}

#[tokio::test]
async fn a_failed_call_brings_its_status_in_the_trailers() {
    let (_server, service) = grpc_service().await;
    let mut client = grpc::connect(service.h2, HOST, &service.tasks).await;
    client.ready().await.unwrap();
    let request = tonic::Request::new(bytes("fail now"));
    let status = soon(client.unary(request, path("/echo"), Raw))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "as you wish");
}

#[tokio::test]
async fn a_server_streams_many_messages() {
    let (_server, service) = grpc_service().await;
    let mut client = grpc::connect(service.h2, HOST, &service.tasks).await;
    client.ready().await.unwrap();
    let request = tonic::Request::new(Bytes::from(vec![b'x'; 5000]));
    let answer = soon(client.server_streaming(request, path("/count"), Raw)).await;
    let messages = soon(grpc::all(answer.unwrap().into_inner())).await;
    assert_eq!(messages.len(), 5000);
    assert_eq!(messages[4999], "4999");
}

#[tokio::test]
async fn both_sides_alternate_on_one_stream() {
    let (_server, service) = grpc_service().await;
    let mut client = grpc::connect(service.h2, HOST, &service.tasks).await;
    client.ready().await.unwrap();
    let (sender, receiver) = mpsc::unbounded_channel::<Bytes>();
    let messages = futures_util::stream::unfold(receiver, async |mut receiver| {
        let message = receiver.recv().await?;
        Some((message, receiver))
    });
    let request = tonic::Request::new(messages.boxed());
    let answer = soon(client.streaming(request, path("/chat"), Raw)).await;
    let mut answers = answer.unwrap().into_inner();
    for text in ["one", "two", "three"] {
        sender.send(bytes(text)).unwrap();
        let answer = soon(answers.message()).await.unwrap().unwrap();
        assert_eq!(answer, format!("re: {text}"));
    }
    drop(sender);
    assert!(soon(answers.message()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_call_that_its_client_cancels_is_cancelled_at_the_backend() {
    let (server, service) = grpc_service().await;
    let mut client = grpc::connect(service.h2, HOST, &service.tasks).await;
    client.ready().await.unwrap();
    let request = tonic::Request::new(bytes("x"));
    let answer = soon(client.server_streaming(request, path("/forever"), Raw)).await;
    let mut messages = answer.unwrap().into_inner();
    assert_eq!(soon(messages.message()).await.unwrap().unwrap(), "here");
    service.in_flight(1).await;

    drop(messages);

    soon(server.cancelled()).await;
    service.in_flight(0).await;
}
