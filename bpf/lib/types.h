// SPDX-License-Identifier: GPL-2.0
/* Types that user space reads by name: clang leaves out of BTF what nothing refers to. */
#ifndef UM_LIB_TYPES_H
#define UM_LIB_TYPES_H

#include "lib/kernel.h"
#include "abi/config.h"
#include "abi/dns.h"
#include "abi/drop.h"
#include "abi/edge.h"
#include "abi/flow.h"
#include "abi/owner.h"
#include "abi/process.h"
#include "abi/sample.h"
#include "abi/series.h"
#include "abi/service.h"
#include "abi/socket.h"

struct um_types {
	enum um_number number;
	enum um_role role;
	enum um_l7 l7;
	enum um_method method;
	enum um_failure failure;
	enum um_flow_state flow_state;
	enum um_sample_kind sample_kind;
	enum um_process_event_kind process_event_kind;
	enum um_phase phase;
	enum um_balancing balancing;
	struct um_answer answer;
	struct um_flow flow;
	struct um_process_event process_event;
	struct um_sample sample;
};

const volatile struct um_types um_types = {};

#endif
