-- Fills the published tables of an original: 10,000 users, 50,000 videos, 1,000,000 likes. Every counter is wrong.
CREATE TABLE digits (d int PRIMARY KEY);
INSERT INTO digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
CREATE TABLE numbers (n int PRIMARY KEY);
INSERT INTO numbers
SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d
FROM digits AS a, digits AS b, digits AS c, digits AS e, digits AS f;
INSERT INTO users (id, user_name, password, created_at, avatar)
SELECT n, CONCAT('user ', n), MD5(CONCAT('secret ', n)), DATE_ADD('2023-01-01', INTERVAL n MINUTE), 'face.jpg'
FROM numbers WHERE n BETWEEN 1 AND 10000;
INSERT INTO videos (id, play_url, cover_url, title, author_id, created_at, favorite_count)
SELECT n, CONCAT(n, '_1.mp4'), CONCAT(n, '_1.png'), CONCAT('video ', n), 1 + n MOD 10000,
  DATE_ADD('2023-01-01', INTERVAL n MINUTE), 7
FROM numbers WHERE n BETWEEN 1 AND 50000;
INSERT INTO user_favorite_videos (user_id, video_id)
SELECT id, 1 + (id * 7 + n * 499) MOD 50000 FROM users JOIN numbers ON n < 100;
INSERT INTO relations (user_id, to_user_id, created_at)
SELECT id, 1 + (id + n * 31) MOD 10000, DATE_ADD('2023-01-01', INTERVAL n MINUTE)
FROM users JOIN numbers ON n BETWEEN 1 AND 20;
INSERT INTO comments (content, video_id, user_id, created_at)
SELECT '好', 1 + n MOD 50000, 1 + n MOD 10000, DATE_ADD('2023-01-01', INTERVAL n MINUTE) FROM numbers;
-- `sealed` holds a hundred messages that are encrypted.
INSERT INTO messages (from_user_id, to_user_id, content, created_at)
SELECT 1 + numbers.n MOD 10000, 1 + (numbers.n + 1) MOD 10000, content, DATE_ADD('2023-01-01', INTERVAL numbers.n SECOND)
FROM numbers JOIN sealed ON sealed.n = numbers.n MOD 100 WHERE numbers.n < 50000;
