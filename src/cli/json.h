/*
 * json.h: writes JSON as it goes, nothing kept.  The caller opens and closes objects and arrays in order; commas
 * and escapes are done here.  `key` is NULL inside arrays and for the outermost value.
 */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	bool follows; /* the next value needs a comma before it */
};

void json_begin(struct json *json, FILE *out);
void json_end(struct json *json); /* a newline after the outermost value */

void json_object(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array(struct json *json, const char *key);
void json_array_end(struct json *json);

/* Any bytes: control characters are escaped, what is not UTF-8 becomes U+FFFD. */
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, uint64_t value);
void json_signed(struct json *json, const char *key, int64_t value);
void json_seconds(struct json *json, const char *key, uint64_t ms); /* with a fraction */
void json_bool(struct json *json, const char *key, bool value);

#endif
