#include "rpc/call.h"

#include <stdlib.h>

#include "rpc/rpc_internal.h"

#define SMALL_BYTES (64 * 1024)
/* What unpacking may allocate, beyond the message: many small fields take more than their bytes. */
#define UNPACK_BYTES (256 * 1024)

/* ---- methods ---- */

static const struct method *const tables[] = {pubsub_methods, control_methods, webhook_methods,
                                              auth_methods};

const struct method *method_find(const char *path) {
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        for (const struct method *m = tables[i]; m->path != NULL; m++) {
            if (strcmp(m->path, path) == 0)
                return m;
        }
    }
    return NULL;
}

unsigned method_index(const struct method *wanted) {
    unsigned index = 0;
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        for (const struct method *m = tables[i]; m->path != NULL; m++, index++) {
            if (m == wanted)
                return index;
        }
    }
    return METHODS_MAX - 1;
}

/* ---- life ---- */

struct call *call_new(struct rpc *r, const struct call_transport *transport, void *stream) {
    struct call *c = xcalloc(1, sizeof *c);
    c->rpc = r;
    c->transport = transport;
    c->stream = stream;
    request_id_write(c->id, (uint32_t)r->id_prefix, ++r->id_next);
    return c;
}

struct call_wait {
    struct call *call;
};

struct call_wait *call_wait_begin(struct call *c) {
    c->wait = xcalloc(1, sizeof *c->wait);
    c->wait->call = c;
    return c->wait;
}

struct call *call_wait_end(struct call_wait *wait) {
    struct call *c = wait->call;
    if (c != NULL)
        c->wait = NULL;
    free(wait);
    return c;
}

void call_free(struct call *c, bool cancelled) {
    if (c == NULL)
        return;
    if (c->wait != NULL)
        c->wait->call = NULL;
    if (c->watch != NULL)
        watch_close(c->watch, cancelled);
    if (c->method != NULL)
        rpc_count(c->rpc, c->method, c->ended ? c->status : RPC_CANCELLED);
    identity_unref(c->identity);
    grpc_frame_unref(c->frame);
    buffer_free(&c->body);
    free(c->host);
    free(c->status_message);
    free(c);
}

/* ---- the request ---- */

bool call_begin(struct call *c, const char *path, const char *credential, struct identity *known,
                struct error *e) {
    struct access *access = c->rpc->shared->access;
    c->method = method_find(path);
    if (c->method == NULL)
        return error_set(e, ERROR_UNIMPLEMENTED, "there is no method %.100s here", path);
    if (c->method->access == METHOD_ANYONE)
        return true;
    if (known != NULL) {
        if (!access_still_valid(access, known, e))
            return false;
        c->identity = identity_ref(known);
    } else {
        c->identity = access_identify(access, credential, e);
    }
    return c->identity != NULL &&
           (c->method->access != METHOD_ADMIN || identity_may_administer(c->identity, e));
}

size_t call_body_limit(const struct call *c) {
    size_t value = c->rpc->shared->config->limits.message_bytes;
    /* Names and tags come on top of a value. */
    return SMALL_BYTES + (c->method != NULL && c->method->carries_value ? value : 0);
}

void call_run(struct call *c) {
    struct error e;
    size_t length;
    const uint8_t *message = grpc_frame_open(buffer_string(&c->body), c->body.length, &length, &e);
    bool good = message != NULL && c->method->run(c, message, length, &e);
    buffer_free(&c->body);
    if (!good)
        call_fail(c, &e);
}

/* ---- the answer ---- */

void call_end(struct call *c, enum rpc_status status, const char *message, const char *detail) {
    if (c->ended)
        return;
    c->ended = true;
    c->status = status;
    c->status_message = message != NULL ? xstrdup(message) : NULL;
    c->status_detail = detail;
    c->transport->wake(c);
}

void call_fail(struct call *c, const struct error *e) {
    log_debug("call refused", LOG_STR("method", c->method != NULL ? c->method->name : "unknown"),
              LOG_STR("why", e->message), LOG_STR("request", c->id));
    call_end(c, rpc_status_of(e), e->message, rpc_status_detail(e));
}

void call_reply(struct call *c, const ProtobufCMessage *message) {
    if (message == NULL) {
        c->frame = grpc_frame_ref(c->rpc->empty);
    } else {
        struct buffer bytes = {0};
        size_t size = protobuf_c_message_get_packed_size(message);
        bytes.length = protobuf_c_message_pack(message, (uint8_t *)buffer_reserve(&bytes, size));
        c->frame = grpc_frame_new(bytes.data, bytes.length);
        buffer_free(&bytes);
    }
    call_end(c, RPC_OK, NULL, NULL);
}

void call_finish(struct call *c) {
    c->finishing = true;
    c->transport->wake(c);
}

const struct grpc_frame *call_pull(struct call *c) {
    if (c->frame == NULL && c->watch != NULL && !c->ended) {
        c->frame = watch_next(c->watch);
        if (c->frame == NULL && c->finishing)
            c->transport->hang_up(c);
    }
    return c->frame;
}

void call_taken(struct call *c, size_t length) {
    c->offset += length;
    if (c->offset < c->frame->length)
        return;
    grpc_frame_unref(c->frame);
    c->frame = NULL;
    c->offset = 0;
}

bool call_is_over(struct call *c) {
    return c->ended && c->frame == NULL;
}

/* ---- messages ---- */

/* Bounds what a message makes us allocate: protobuf-c has no limit of its own. */
struct budget {
    ProtobufCAllocator allocator;
    size_t left;
};

static void *budget_alloc(void *data, size_t size) {
    struct budget *b = data;
    if (size > b->left)
        return NULL;
    b->left -= size;
    return malloc(size);
}

static void budget_free(void *data, void *block) {
    (void)data;
    free(block);
}

void *call_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *message, size_t length,
                  struct error *e) {
    struct budget budget = {.left = 2 * length + UNPACK_BYTES};
    budget.allocator = (ProtobufCAllocator){budget_alloc, budget_free, &budget};
    void *unpacked = protobuf_c_message_unpack(type, &budget.allocator, length, message);
    if (unpacked == NULL)
        error_set(e, ERROR_INVALID, "the message cannot be read");
    return unpacked;
}

void call_drop(void *message) {
    if (message != NULL)
        protobuf_c_message_free_unpacked(message, NULL);
}

bool call_name(char name[NAME_SIZE], const ProtobufCBinaryData *bytes, const char *what,
               struct error *e) {
    const char *defect = broker_name_defect((const char *)bytes->data, bytes->len);
    if (defect != NULL)
        return error_set(e, ERROR_INVALID, "the %s name %s", what, defect);
    memcpy(name, bytes->data, bytes->len);
    name[bytes->len] = '\0';
    return true;
}

char *call_text(const ProtobufCBinaryData *bytes, const char *what, size_t most, struct error *e) {
    if (bytes->len > most) {
        error_set(e, ERROR_INVALID, "the %s is longer than %zu bytes", what, most);
        return NULL;
    }
    if (bytes->len > 0 && memchr(bytes->data, '\0', bytes->len) != NULL) {
        error_set(e, ERROR_INVALID, "the %s has a NUL character", what);
        return NULL;
    }
    return xstrndup(bytes->len > 0 ? (const char *)bytes->data : "", bytes->len);
}

ProtobufCBinaryData call_bytes(const char *text) {
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}
