/* SPDX-License-Identifier: ISC */
/* The Lua scripts, embedded at build time from lua/, each with a final NUL. */
#ifndef REDIS_SCRIPT_H
#define REDIS_SCRIPT_H

extern const char lua_take[];
extern const char lua_give_back[];
extern const char lua_settle[];
/* Their SHA-1 in hex, by which EVALSHA names a script that Redis has. */
extern const char lua_take_sha[];
extern const char lua_give_back_sha[];
extern const char lua_settle_sha[];

#endif
