"""What Prometheus hears of uploads on their way to publication."""

from prometheus_client import Counter, Gauge, Histogram

UPLOAD_JOBS = Gauge(
    "dousheng_upload_jobs",
    "Uploads that are neither published nor failed; every instance tells all of them",
    ["state", "lane"],
)
OLDEST_UPLOAD_JOB = Gauge(
    "dousheng_oldest_upload_job_seconds", "Age of the oldest of these uploads", ["state", "lane"]
)
PUBLISHED_SECONDS = Histogram(
    "dousheng_upload_published_seconds",
    "Time from an upload's first row to its publication",
    buckets=(1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800),
)
UPLOADS_FAILED = Counter(
    "dousheng_uploads_failed_total", "Uploads that were given up, and whose fault it was", ["fault"]
)
