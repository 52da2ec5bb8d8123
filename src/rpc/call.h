/*
 * call: one call of a method, whatever it came over. Internal to rpc/.
 */
#ifndef HOOKMOON_RPC_CALL_H
#define HOOKMOON_RPC_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "base/request_id.h"
#include "rpc/grpc_frame.h"
#include "rpc/rpc.h"
#include "rpc/status.h"

struct call;
struct watch;

/* What a method needs of its caller, checked before it is run. */
enum method_access {
    METHOD_ANYONE, /* it checks for itself (the key is in the message) */
    METHOD_KEY,    /* a key; what it permits depends on the message */
    METHOD_ADMIN,
};

struct method {
    const char *path;
    const char *name; /* for the metrics */
    enum method_access access;
    bool carries_value; /* the message may be as large as an item, else it is small */
    /* Answers with call_reply or by opening a watch, or returns false with `e` filled. */
    bool (*run)(struct call *c, const uint8_t *message, size_t length, struct error *e);
};

extern const struct method pubsub_methods[], control_methods[], webhook_methods[], auth_methods[];
/* NULL: there is none. */
const struct method *method_find(const char *path);
/* A number of its own, below METHODS_MAX. */
unsigned method_index(const struct method *wanted);
#define METHODS_MAX 32

struct call_transport {
    /* A stream begins: the headers go out now. */
    void (*start)(struct call *c);
    /* There is more to take with call_pull, or the call ended. */
    void (*wake)(struct call *c);
    /* The gateway stops: ends the call in the way that makes its client come again. */
    void (*hang_up)(struct call *c);
};

struct call {
    struct rpc *rpc;
    const struct call_transport *transport;
    void *stream; /* the transport's */
    const struct method *method;
    struct identity *identity; /* NULL for METHOD_ANYONE */
    char *host;                /* what the client calls us, for the keys it is given */
    bool has_timeout;          /* it was sent with grpc-timeout */
    struct buffer body;
    char id[REQUEST_ID_SIZE];
    bool started;             /* the headers are out */
    bool ended;               /* nothing follows but the status */
    bool finishing;           /* see call_finish */
    struct grpc_frame *frame; /* being sent, from `offset` on */
    size_t offset;
    enum rpc_status status;
    char *status_message; /* NULL: none */
    const char *status_detail;
    struct call_wait *wait;       /* it is answered once something is committed */
    struct watch *watch;          /* a subscription's */
    struct heal_list **cancelled; /* of its connection; NULL: the transport has none */
};

struct call *call_new(struct rpc *r, const struct call_transport *transport, void *stream);
/* The client is gone, or everything is sent. */
void call_free(struct call *c, bool cancelled);

/*
 * The headers are in: finds the method and checks the credential, if it is not NULL'd by
 * METHOD_ANYONE. `known` (may be NULL) is the identity that the same connection had with the same
 * credential. False with `e`.
 */
bool call_begin(struct call *c, const char *path, const char *credential, struct identity *known,
                struct error *e);
/* The most a request's body may have. */
size_t call_body_limit(const struct call *c);
/* The body is whole: runs the method, which answers or fails. */
void call_run(struct call *c);

/* Answers with a message (NULL: an empty one) and OK. */
void call_reply(struct call *c, const ProtobufCMessage *message);
/* Ends it with an error, before or after the headers went out. */
void call_fail(struct call *c, const struct error *e);
void call_end(struct call *c, enum rpc_status status, const char *message, const char *detail);

/* For an answer that comes later: `call_wait_end` gives the call back, NULL when it is gone. */
struct call_wait *call_wait_begin(struct call *c);
struct call *call_wait_end(struct call_wait *wait);

/* Hangs up once everything that was published so far is sent. */
void call_finish(struct call *c);

/* The frame to be sent now, from c->offset on; NULL: there is none at present. */
const struct grpc_frame *call_pull(struct call *c);
/* So many bytes of it were taken. */
void call_taken(struct call *c, size_t length);
/* Everything was sent and the status is due. */
bool call_is_over(struct call *c);

/* Unpacks a message; ERROR_INVALID. Free with call_drop. */
void *call_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *message, size_t length,
                  struct error *e);
void call_drop(void *message);

#define NAME_SIZE 256
/* Copies a name that must be one of a cache or topic; `what` is it called in the error. */
bool call_name(char name[NAME_SIZE], const ProtobufCBinaryData *bytes, const char *what,
               struct error *e);
/* Any text without NUL up to `most` bytes; the caller frees. NULL: ERROR_INVALID. */
char *call_text(const ProtobufCBinaryData *bytes, const char *what, size_t most, struct error *e);
/* A C string as protobuf-c wants it; borrowed. */
ProtobufCBinaryData call_bytes(const char *text);

#endif
