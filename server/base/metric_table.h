/* SPDX-License-Identifier: ISC */
/* All series that have cells. To add a metric, add a line here; docs/metrics.md is tested
 * against this table. */
#ifndef BASE_METRIC_TABLE_H
#define BASE_METRIC_TABLE_H

/* The series of one way to settle a reservation, in the order of enum settle_status,
 * and one for those that were refused before the store was asked. */
#define SETTLEMENT_ROW(X, id, result, action, help) \
	X(id, "ration_settlements_total", COUNTER,  \
	    "action=\"" action "\",result=\"" result "\"", help)
#define SETTLEMENT_ROWS(X, ID, action, help)                    \
	SETTLEMENT_ROW(X, ID##S_DONE, "done", action, help)     \
	SETTLEMENT_ROW(X, ID##S_ALREADY, "already", action, "") \
	SETTLEMENT_ROW(X, ID##S_UNKNOWN, "unknown", action, "") \
	SETTLEMENT_ROW(X, ID##S_FAILED, "failed", action, "")   \
	SETTLEMENT_ROW(X, ID##S_INVALID, "invalid", action, "")

/*
 * X(identifier, "name", kind, "label=\"value\"" or "", "help")
 * Series of one name stand together. Times are kept in µs and shown in seconds.
 */
#define METRIC_TABLE(X)                                                                \
	X(CHECKS_ALLOW, "ration_checks_total", COUNTER, "verdict=\"allow\"",           \
	    "Checks answered, by verdict.")                                            \
	X(CHECKS_DENY_POLICY, "ration_checks_total", COUNTER,                          \
	    "verdict=\"deny_policy\"", "")                                             \
	X(CHECKS_DENY_LIMIT, "ration_checks_total", COUNTER, "verdict=\"deny_limit\"", \
	    "")                                                                        \
	X(CHECKS_DENY_STORE, "ration_checks_total", COUNTER, "verdict=\"deny_store\"", \
	    "")                                                                        \
	X(CHECKS_APPROVAL, "ration_checks_total", COUNTER,                             \
	    "verdict=\"require_approval\"", "")                                        \
	X(DEGRADED_ALLOW, "ration_degraded_total", COUNTER, "decision=\"allow\"",      \
	    "Checks decided without the store, which failed, by decision.")            \
	X(DEGRADED_DENY, "ration_degraded_total", COUNTER, "decision=\"deny\"", "")    \
	X(DEGRADED_LOCAL_ALLOW, "ration_degraded_total", COUNTER,                      \
	    "decision=\"local_allow\"", "")                                            \
	X(DEGRADED_LOCAL_DENY, "ration_degraded_total", COUNTER,                       \
	    "decision=\"local_deny\"", "")                                             \
	X(CHECKS_INVALID, "ration_checks_invalid_total", COUNTER, "",                  \
	    "Requests for a check that were refused as malformed.")                    \
	X(CHECKS_REPLAYED, "ration_checks_replayed_total", COUNTER, "",                \
	    "Checks of these that got the answer of an earlier one with their id.")    \
	X(CHECKS_PEEKED, "ration_checks_peeked_total", COUNTER, "",                    \
	    "Checks of these that only peeked.")                                       \
	X(CHECKS_CONFLICT, "ration_checks_conflict_total", COUNTER, "",                \
	    "Checks refused because their id was used for something else.")            \
	SETTLEMENT_ROWS(X, COMMIT, "commit", "Settlements of reservations answered.")  \
	SETTLEMENT_ROWS(X, ROLLBACK, "rollback", "")                                   \
	SETTLEMENT_ROWS(X, RENEW, "renew", "")                                         \
	X(RESETS_DONE, "ration_resets_total", COUNTER, "result=\"done\"",              \
	    "Resets of counters that were asked of the store, by result.")             \
	X(RESETS_FAILED, "ration_resets_total", COUNTER, "result=\"failed\"", "")      \
	X(THROTTLES_ALLOWED, "ration_throttles_total", COUNTER, "result=\"allowed\"",  \
	    "CL.THROTTLE commands answered, by result.")                               \
	X(THROTTLES_LIMITED, "ration_throttles_total", COUNTER, "result=\"limited\"",  \
	    "")                                                                        \
	X(THROTTLES_FAILED, "ration_throttles_total", COUNTER, "result=\"failed\"",    \
	    "")                                                                        \
	X(THROTTLES_INVALID, "ration_throttles_total", COUNTER, "result=\"invalid\"",  \
	    "")                                                                        \
	X(HTTP_REQUESTS, "ration_requests_total", COUNTER, "front=\"http\"",           \
	    "Requests read, by front.")                                                \
	X(RESP_REQUESTS, "ration_requests_total", COUNTER, "front=\"resp\"", "")       \
	X(HTTP_CONNECTIONS, "ration_connections", GAUGE, "front=\"http\"",             \
	    "Open client connections, by front.")                                      \
	X(RESP_CONNECTIONS, "ration_connections", GAUGE, "front=\"resp\"", "")         \
	X(CONNECTIONS_REFUSED, "ration_connections_refused_total", COUNTER, "",        \
	    "Connections closed at once because too many were open.")                  \
	X(CLOSED_IDLE, "ration_connections_closed_total", COUNTER, "reason=\"idle\"",  \
	    "Connections this side closed, by reason.")                                \
	X(CLOSED_SLOW, "ration_connections_closed_total", COUNTER, "reason=\"slow\"",  \
	    "")                                                                        \
	X(CLOSED_PROTOCOL, "ration_connections_closed_total", COUNTER,                 \
	    "reason=\"protocol\"", "")                                                 \
	X(CLOSED_CROWDED, "ration_connections_closed_total", COUNTER,                  \
	    "reason=\"crowded\"", "")                                                  \
	X(STORE_UP, "ration_store_up", LEAST, "",                                      \
	    "1 while the store can take charges from every worker, else 0.")           \
	X(DENY_CACHE_HITS, "ration_deny_cache_hits_total", COUNTER, "",                \
	    "Checks denied because of a refusal that was remembered.")                 \
	X(STORE_BATCHES, "ration_store_batches_total", COUNTER, "",                    \
	    "Script calls sent to the store.")                                         \
	X(STORE_TAKES, "ration_store_takes_total", COUNTER, "",                        \
	    "Checks whose charges were asked of the store.")                           \
	X(STORE_LATE, "ration_store_late_total", COUNTER, "",                          \
	    "Store answers that came after the check's deadline.")                     \
	X(STORE_GIVEN_BACK, "ration_store_given_back_total", COUNTER, "",              \
	    "Late charges that were given back.")                                      \
	X(STORE_STOOD, "ration_store_stood_total", COUNTER, "",                        \
	    "Checks charged late whose calls had gone ahead: those charges stand.")    \
	X(STORE_LOST, "ration_store_lost_total", COUNTER, "",                          \
	    "Checks whose answer was lost with its connection.")                       \
	X(STORE_BREAKER_OPENED, "ration_store_breaker_opened_total", COUNTER, "",      \
	    "Times that the store was not asked any more.")                            \
	X(STORE_REDIRECTS, "ration_store_redirects_total", COUNTER, "",                \
	    "Checks and commands that a node of the Cluster refused since their slot " \
	    "moves or moved.")                                                         \
	X(STORE_RECONNECTS, "ration_store_reconnects_total", COUNTER, "",              \
	    "Attempts to connect to the store.")                                       \
	X(STORE_MASTER_CHANGES, "ration_store_master_changes_total", COUNTER, "",      \
	    "Times Sentinels named another master.")                                   \
	X(STORE_SENTINELS, "ration_store_sentinels", LEAST, "",                        \
	    "Sentinels that answer, to the worker to which the fewest do.")            \
	X(STORE_SCRIPT_LOADS, "ration_store_script_loads_total", COUNTER, "",          \
	    "Times the scripts were loaded into the store.")                           \
	X(FAULT_TIMEOUT, "ration_store_faults_total", COUNTER, "class=\"timeout\"",    \
	    "Checks that the store failed, by class.")                                 \
	X(FAULT_DISCONNECTED, "ration_store_faults_total", COUNTER,                    \
	    "class=\"disconnected\"", "")                                              \
	X(FAULT_OVERLOAD, "ration_store_faults_total", COUNTER, "class=\"overload\"",  \
	    "")                                                                        \
	X(FAULT_LOADING, "ration_store_faults_total", COUNTER, "class=\"loading\"",    \
	    "")                                                                        \
	X(FAULT_READONLY, "ration_store_faults_total", COUNTER, "class=\"readonly\"",  \
	    "")                                                                        \
	X(FAULT_MASTERDOWN, "ration_store_faults_total", COUNTER,                      \
	    "class=\"masterdown\"", "")                                                \
	X(FAULT_CLUSTER, "ration_store_faults_total", COUNTER,                         \
	    "class=\"clusterdown\"", "")                                               \
	X(FAULT_TRYAGAIN, "ration_store_faults_total", COUNTER, "class=\"tryagain\"",  \
	    "")                                                                        \
	X(FAULT_MOVED, "ration_store_faults_total", COUNTER, "class=\"moved\"", "")    \
	X(FAULT_BUSY, "ration_store_faults_total", COUNTER, "class=\"busy\"", "")      \
	X(FAULT_MEMORY, "ration_store_faults_total", COUNTER, "class=\"memory\"", "")  \
	X(FAULT_MISCONF, "ration_store_faults_total", COUNTER, "class=\"misconf\"",    \
	    "")                                                                        \
	X(FAULT_NOREPLICAS, "ration_store_faults_total", COUNTER,                      \
	    "class=\"noreplicas\"", "")                                                \
	X(FAULT_MAXCLIENTS, "ration_store_faults_total", COUNTER,                      \
	    "class=\"maxclients\"", "")                                                \
	X(FAULT_BREAKER, "ration_store_faults_total", COUNTER, "class=\"breaker\"",    \
	    "")                                                                        \
	X(FAULT_CONFIG, "ration_store_faults_total", COUNTER,                          \
	    "class=\"configuration\"", "")                                             \
	X(FAULT_TLS, "ration_store_faults_total", COUNTER, "class=\"tls\"", "")        \
	X(FAULT_WRONGTYPE, "ration_store_faults_total", COUNTER,                       \
	    "class=\"wrongtype\"", "")                                                 \
	X(FAULT_OTHER, "ration_store_faults_total", COUNTER, "class=\"other\"", "")    \
	X(POLICIES, "ration_policies", GAUGE, "", "Policies in force.")                \
	X(RELOADS_OK, "ration_policy_reloads_total", COUNTER, "result=\"ok\"",         \
	    "Reloads of the policies, by result.")                                     \
	X(RELOADS_REFUSED, "ration_policy_reloads_total", COUNTER,                     \
	    "result=\"refused\"", "")                                                  \
	X(RELOAD_SUCCESS, "ration_policy_last_reload_success", GAUGE, "",              \
	    "1 when the last reload went well or none was asked for, else 0.")         \
	X(RELOAD_SUCCESS_TIME, "ration_policy_last_reload_success_timestamp_seconds",  \
	    GAUGE, "", "When the policies in force were read, in seconds since 1970.") \
	X(DECISION_LINES, "ration_decision_log_lines_total", COUNTER, "",              \
	    "Decisions that were to be logged.")                                       \
	X(DECISION_LINES_LOST, "ration_decision_log_lost_total", COUNTER, "",          \
	    "Decisions of these that could not be written.")

#endif
