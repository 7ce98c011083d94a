//! The examples do what they say.

#[cfg(feature = "calloop")]
use crate::common::needs;
#[cfg(feature = "calloop")]
use resv_linux::sources;

#[allow(dead_code, unreachable_pub)]
#[path = "../examples/explicit_sync.rs"]
mod explicit_sync;
#[allow(dead_code, unreachable_pub)]
#[path = "../examples/virtio_gpu.rs"]
mod virtio_gpu;

#[cfg(feature = "calloop")]
#[allow(dead_code, unreachable_pub)]
#[path = "../examples/dmabuf_compositor.rs"]
mod dmabuf_compositor;

#[cfg(feature = "calloop")]
#[test]
fn a_compositor_takes_dma_bufs() {
    let Some(_) = needs("dma-buf", sources::any_buffer()) else {
        return;
    };
    let Some(_) = needs("sw_sync or vgem", sources::any_fence()) else {
        return;
    };
    assert_eq!(
        dmabuf_compositor::run().unwrap(),
        [
            "the commit waits for the client",
            "other clients are served",
            "the client has drawn",
            "the snapshot for the display has signalled: true",
            "the buffer is idle: false",
            "the kernel took 1, 0 are left",
            "the client may draw: false",
            "the client may draw: true",
        ]
    );
}

#[test]
fn explicit_sync_by_points_of_timelines() {
    let Some(_) = crate::common::node() else {
        return;
    };
    assert_eq!(
        explicit_sync::run().unwrap(),
        [
            "punctual: the new frame is shown",
            "punctual: released false",
            "punctual: released true",
            "late: the old frame stays",
            "late: the new frame is shown a blank later",
            "late: released false",
            "late: released true",
            "silent: the old frame stays",
            "silent: given up, true",
            "silent: released false",
            "silent: released true",
        ]
    );
}

#[test]
fn a_device_returns_descriptors_by_their_fences() {
    assert_eq!(
        virtio_gpu::run().unwrap(),
        [
            "returned (20, Signaled)",
            "11 returned before 10: false",
            "returned (10, Signaled)",
            "returned (11, Signaled)",
            "reset returned 21, canceled true",
        ]
    );
}
