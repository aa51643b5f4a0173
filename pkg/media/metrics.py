"""What Prometheus hears of ffmpeg and ffprobe."""

from prometheus_client import Gauge, Histogram

PROCESS_SECONDS = Histogram(
    "dousheng_media_process_seconds",
    "Duration of processes that read or converted a video",
    ["program"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600),
)
PROCESSES_WAITING = Gauge(
    "dousheng_media_processes_waiting", "Processes that wait for their turn at the CPU"
)
