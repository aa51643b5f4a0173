/**
 * The objects of the contract, as types for the checker; nothing of this file exists at run time.
 * Ids stay below 2^53, so that a JavaScript number holds them exactly. Times are milliseconds since the Unix epoch.
 *
 * @typedef {object} User
 * @property {number} id
 * @property {string} name
 * @property {number} follow_count
 * @property {number} follower_count
 * @property {boolean} is_follow the viewer follows this user
 * @property {string} avatar URL of a picture
 * @property {string} background_image URL of a picture
 * @property {string} signature
 * @property {number} total_favorited likes that this user's videos have
 * @property {number} work_count
 * @property {number} favorite_count
 *
 * @typedef {User & {message: string, msg_type: number}} Friend
 *   `message` is the latest between the two, "" if none; `msg_type` 0: the viewer received it, 1: sent it.
 *
 * @typedef {object} Video
 * @property {number} id
 * @property {User} author
 * @property {string} play_url
 * @property {string} cover_url
 * @property {number} favorite_count
 * @property {number} comment_count
 * @property {boolean} is_favorite
 * @property {string} title
 * @property {number} create_time time of publication
 *
 * @typedef {object} Comment
 * @property {number} id
 * @property {User} user
 * @property {string} content
 * @property {string} create_date `MM-DD`
 * @property {number} like_count
 * @property {boolean} is_favorite
 *
 * @typedef {object} Message
 * @property {number} id
 * @property {number} to_user_id
 * @property {number} from_user_id
 * @property {string} content
 * @property {number} create_time strictly increasing within a conversation
 *
 * @typedef {object} Upload
 * @property {number} video_id
 * @property {string} title
 * @property {'processing' | 'published' | 'failed'} status
 * @property {string} reason of a failure; else empty
 * @property {number} create_time
 * @property {number} progress in percent
 * @property {number} queue_position 1: it is begun next; 0: it is under way, or done
 *
 * @typedef {{user_id: number, token: string, name: string}} Viewer the person who is logged in
 */

/**
 * @template T
 * @typedef {{items: T[], next: string}} Page `next` is the cursor of the page after this one, "" at the end
 */

export {};
